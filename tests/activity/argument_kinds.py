"""Types of arguments, and tools of them."""

import dataclasses
import inspect
from collections.abc import Callable
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, Required
from uuid import uuid4

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    SecretStr,
    StringConstraints,
    computed_field,
    model_serializer,
)
from typing_extensions import TypedDict

from agentflow.activity.tool import Tool, tool


class Colour(Enum):
    RED = "red"


class Payee(BaseModel):
    to: str
    note: str = ""


class Aliased(BaseModel):
    to: str = Field(alias="payTo")


@dataclasses.dataclass
class Line:
    to: str
    count: int = 1


class Seat(TypedDict, total=False):
    row: Required[int]
    side: str


class Pair(NamedTuple):
    left: int
    right: str = "x"


class Numbers(RootModel[list[int]]):
    pass


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    bark: str = "woof"


class Trip(BaseModel):
    seats: list[Seat] = []
    payee: Payee
    more: dict[str, Line] = {}


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    to: str


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date
    marks: tuple[int, ...] = ()


class Sum(BaseModel):
    part: int

    @computed_field
    def total(self) -> int:
        """Twice the part."""
        return 2 * self.part


class Left(BaseModel):
    hidden: int = Field(1, exclude=True)


class LeftAtTimes(BaseModel):
    hidden: int = Field(1, exclude_if=lambda value: value == 1)


@dataclasses.dataclass
class ReadOnce:
    kept: int = 1
    read: dataclasses.InitVar[int] = 2


class Unwritten(BaseModel):
    to: str
    limit: int = 5

    @model_serializer(mode="wrap")
    def _without_limit(self, write: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if name != "limit" or value != 5}


class Secrets(BaseModel):
    __pydantic_extra__: dict[str, SecretStr]  # pyright: ignore[reportIncompatibleVariableOverride]
    model_config = ConfigDict(extra="allow")


class Renamed(BaseModel):
    to: str = Field(validation_alias="payTo")


class InPythonsEngine(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")

    code: str = Field(pattern="^(a+)+$")


class Fresh(BaseModel):
    to: str
    id: str = Field(default_factory=lambda: uuid4().hex)


Mail = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True)]
Pet = Annotated[Cat | Dog, Field(discriminator="kind")]
Clamped = Annotated[int, AfterValidator(lambda value: min(value, 10))]
Growing = Annotated[int, AfterValidator(lambda value: value + 1)]
Masked = Annotated[str, PlainSerializer(lambda value: "masked")]


def tool_of(
    kind: Any, default: Any = inspect.Parameter.empty, seen: Callable[[Any], None] | None = None
) -> Any:
    """A tool whose one argument, ``x``, is of a type."""

    async def take(x: Any) -> str:
        """Take a value, and do no more."""
        if seen:
            seen(x)
        return ""

    parameter = inspect.Parameter(
        "x", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind
    )
    take.__annotations__ = {"x": kind, "return": str}
    take.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    made: Tool[..., str] = tool(effect="read")(take)
    return made
