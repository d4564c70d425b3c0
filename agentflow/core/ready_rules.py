"""Rules that are ready to use."""

from collections.abc import Sequence
from typing import Literal

from agentflow.core.ready_conditions import PassesOn, UntrustedSinks, UnverifiedRequester
from agentflow.core.rule_checks import tool_names
from agentflow.core.rules import WRITES, Condition, Rule, deny, guard
from agentflow.core.tool_reference import ToolRef


def sinks_from_trusted_input(
    *,
    tools: Sequence[ToolRef] | None = None,
    unless: Condition | None = None,
    people: int = 1,
    roles: Sequence[str] = (),
) -> Rule:
    """A guard: a person is asked of a write, one of whose sinks has a value that nothing trusted has.

    It is what stops an e-mail, a web page or a ticket from saying whom to pay. Where values came from is in
    the approval.

    Args:
        tools: The tools it watches; by default all that write. Reads that are named are watched too: a URL
            that is fetched can carry what was read.
        unless: Calls that it lets be, such as small amounts.
        people: How many people are asked.
        roles: Each holds one of these.
    """
    return guard(
        "sinks_from_trusted_input",
        reason="an argument of consequence is from nothing that is trusted",
        when=UntrustedSinks(unless),
        tools=tools,
        people=people,
        roles=roles,
    )


def verified_requester(
    *,
    tools: Sequence[ToolRef] | None = None,
    otherwise: Literal["ask", "deny"] = "ask",
    people: int = 1,
    roles: Sequence[str] = (),
) -> Rule:
    """Asks a person of, or denies, each write of a run of which nothing says who asked for it.

    What its starter states is their own word only: whoever starts a run as somebody else could agree to what
    it does. ``AgentflowPlugin(requesters=)`` says whose word counts.

    Args:
        tools: The tools it watches; by default all that write.
        otherwise: Whether people may still agree.
        people: How many are asked.
        roles: Each holds one of these.
    """
    reason = "who asked for the run is not verified"
    if otherwise == "deny":
        return deny(
            "verified_requester",
            reason=reason,
            when=UnverifiedRequester(),
            tools=tools,
            effects=WRITES if tools is None else None,
        )
    return guard(
        "verified_requester",
        reason=reason,
        when=UnverifiedRequester(),
        tools=tools,
        people=people,
        roles=roles,
    )


def no_outflow_of(
    *sources: ToolRef, tools: Sequence[ToolRef] | None = None, people: int = 1, roles: Sequence[str] = ()
) -> Rule:
    """A guard: a person is asked of a write, one of whose arguments has a value that one of these tools said.

    For what may be read and must not be passed on: passports, cards, keys. A value that the model rewrote,
    or any of under ``MIN_SECRET`` characters, is not found.

    Args:
        *sources: The tools whose outputs are confidential.
        tools: The tools it watches, reads included; by default all that write.
        people: How many people are asked.
        roles: Each holds one of these.
    """
    confidential = tool_names(sources)
    return guard(
        f"no_outflow_of_{'_'.join(confidential)}",
        reason=f"it passes on what {', '.join(confidential)} said",
        when=PassesOn(confidential),
        tools=tools,
        past_tools=confidential,
        people=people,
        roles=roles,
    )
