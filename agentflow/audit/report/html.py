"""The report as one page of HTML that needs nothing else: no script, no picture, no network."""

from pathlib import Path
from typing import Any

from agentflow.audit.report.told import ToldRun
from agentflow.audit.report.view import page_of
from agentflow.core.visible import visible
from agentflow.errors import MissingExtraError


def html_of(run: ToldRun) -> str:
    """The page of a run.

    Raises:
        MissingExtraError: the ``audit`` extra isn't installed.
    """
    return rendered("page.html.j2", page=page_of(run))


def check_extra() -> None:
    """See that pages can be made, before anything is done that one is made of.

    Raises:
        MissingExtraError: the ``audit`` extra isn't installed.
    """
    try:
        import jinja2  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise MissingExtraError("the report", "audit") from error


def rendered(template: str, **values: Any) -> str:
    """A template of this folder, filled in. What is others' text can't be markup.

    Raises:
        MissingExtraError: the ``audit`` extra isn't installed.
    """
    check_extra()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def _seen(value: Any) -> Any:
    """A template's value without what can't be seen, or changes the order of what can: it is others' text."""
    return visible(value) if type(value) is str else value
