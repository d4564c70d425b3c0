"""Arithmetic that a tool declares for an argument: its value may be worked out of trusted numbers."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from agentflow.contracts.wire import Contract, is_none

Arithmetic = Literal["sum", "difference", "product"]
"""``difference``: the first number less all the others."""

MAX_OPERANDS = 8


class Operand(Contract):
    """Numbers of a declared sum: an argument of the same call, a field of what is trusted, or a constant."""

    field: str | None = Field(default=None, exclude_if=is_none)
    """Name of the argument, or of the field."""
    of: str | None = Field(default=None, exclude_if=is_none)
    """The tool whose trusted output has the field, or ``task``; ``None`` is the call itself."""
    by: str | None = Field(default=None, exclude_if=is_none)
    """The argument that says which records count: those that have one of its values. Without it, all records
    must have the same number."""
    key: str | None = Field(default=None, exclude_if=is_none)
    """The records' field that has the values of ``by``; by default it has the argument's name."""
    number: Decimal | None = Field(default=None, exclude_if=is_none)
    """A constant: a fee, a rate."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.field is None) == (self.number is None):
            raise ValueError("an operand is a field or a number: give one of them")
        if self.number is not None and (self.of or self.by or not self.number.is_finite()):
            raise ValueError("a number that is an operand is finite, and of nothing")
        if self.field is not None and not self.field:
            raise ValueError("an operand's field has no name")
        if self.by is not None and self.of is None:
            raise ValueError(
                f"the operand {self.field} has by={self.by!r}: say of which tool the records are"
            )
        if self.key is not None and self.by is None:
            raise ValueError(f"the operand {self.field} has key={self.key!r}: say by which argument")
        return self


class Derived(Contract):
    """How an argument may be worked out. Code does so again; the model's result is not believed."""

    arithmetic: Arithmetic
    operands: tuple[Operand, ...] = Field(min_length=1, max_length=MAX_OPERANDS)

    @staticmethod
    def of(arithmetic: Arithmetic, *operands: "str | int | Decimal | Operand") -> "Derived":
        """Declare an argument's arithmetic: ``Derived.of("product", "quantity", Decimal("9.90"))``.

        Args:
            arithmetic: What is done with the numbers.
            *operands: A text is the name of an argument of the same call, a number is a constant.
        """
        return Derived(arithmetic=arithmetic, operands=tuple(map(_operand, operands)))

    @property
    def arguments(self) -> Iterator[str]:
        """The arguments that it rests on."""
        for operand in self.operands:
            if operand.by is not None:
                yield operand.by
            elif operand.field is not None and operand.of is None:
                yield operand.field

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.operands) == 1 and (self.arithmetic != "sum" or self.operands[0].by is None):
            raise ValueError(f"a {self.arithmetic} has two operands at least; only a sum of records has one")
        if all(operand.field is None for operand in self.operands):
            raise ValueError("all operands are constants: write their result into the tool")
        return self


def _operand(given: str | int | Decimal | Operand) -> Operand:
    if isinstance(given, Operand):
        return given
    return Operand(field=given) if isinstance(given, str) else Operand(number=Decimal(given))
