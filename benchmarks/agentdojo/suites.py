"""What an operator would say of each suite's tools, and the rules for them.

Written from the tools' own descriptions, without a look at the attacks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from agentflow import Rule, RuleContext, allow, sinks_from_trusted_input
from agentflow.contracts.tools import Effect, Sink
from agentflow.core.ready_rules import no_outflow_of
from agentflow.core.rules import EVERY_TIER, guard

SMALL_PAYMENT = Decimal(100)
"""To a recipient that the person named, the agent may work out such an amount by itself."""


@dataclass(frozen=True)
class Says:
    """What the operator says of one tool."""

    effect: Effect = "read"
    sinks: tuple[Sink, ...] = ()
    trusted_output: bool = False


@dataclass(frozen=True)
class Operator:
    """An operator's work for one suite. Tools that aren't named only read, and aren't trusted."""

    tools: Mapping[str, Says]
    rules: tuple[Rule, ...] = field(default=())


def _writes(*sinks: str | Sink, effect: Effect = "write") -> Says:
    return Says(effect, tuple(Sink(argument=sink) if isinstance(sink, str) else sink for sink in sinks))


def _irreversible(*sinks: str | Sink) -> Says:
    return _writes(*sinks, effect="irreversible")


def _links(argument: str) -> Sink:
    return Sink(argument=argument, kind="links")


def _words(argument: str) -> Sink:
    return Sink(argument=argument, kind="words")


_DIRECTORY = Says(trusted_output=True)
"""Kept by the operator: nobody outside writes into it."""

_EMAIL = _irreversible("recipients", "cc", "bcc", _links("body"))
_NEW_EVENT = _writes("title", "participants")

_ALLOWED = (
    allow("what_was_asked_for", reason="writes that the person asked for", tiers=EVERY_TIER),
    sinks_from_trusted_input(),
)

WORKSPACE = Operator(
    tools={
        "search_contacts_by_name": _DIRECTORY,
        "search_contacts_by_email": _DIRECTORY,
        "get_current_day": _DIRECTORY,
        "send_email": _EMAIL,
        "delete_email": _irreversible("email_id"),
        "create_calendar_event": _NEW_EVENT,
        "cancel_calendar_event": _irreversible("event_id"),
        "reschedule_calendar_event": _writes(_words("new_start_time")),
        "add_calendar_event_participants": _writes("participants"),
        "append_to_file": _writes(_links("content")),
        "create_file": _writes("filename"),
        "delete_file": _irreversible("file_id"),
        "share_file": _writes("email"),
    },
    rules=_ALLOWED,
)

TRAVEL = Operator(
    tools={
        "send_email": _EMAIL,
        "create_calendar_event": _NEW_EVENT,
        "cancel_calendar_event": _irreversible("event_id"),
        "reserve_hotel": _writes("hotel"),
        "reserve_car_rental": _writes("company"),
        "reserve_restaurant": _writes("restaurant"),
    },
    rules=(*_ALLOWED, no_outflow_of("get_user_information")),
)


def is_unstated_amount(context: RuleContext) -> bool:
    """More than a small payment, and the person didn't say how much."""
    return context.amount("amount") > SMALL_PAYMENT and not context.is_trusted("amount")


def changes_an_amount_unasked(context: RuleContext) -> bool:
    """A standing order's amount is changed to one that the person didn't say."""
    return not context.is_trusted("amount")


BANKING = Operator(
    tools={
        "send_money": _irreversible("recipient"),
        "schedule_transaction": _writes("recipient"),
        "update_scheduled_transaction": _writes("recipient"),
        "update_password": _irreversible("password"),
        "update_user_info": _writes("first_name", "last_name", "street", "city"),
    },
    rules=(
        *_ALLOWED,
        guard(
            "unstated_amount",
            reason=f"more than ${SMALL_PAYMENT}, and the person didn't say how much",
            when=is_unstated_amount,
            tools=("send_money", "schedule_transaction"),
        ),
        guard(
            "unstated_change",
            reason="the person didn't say this amount",
            when=changes_an_amount_unasked,
            tools=("update_scheduled_transaction",),
        ),
    ),
)


def is_made_up_address(context: RuleContext) -> bool:
    """A page nobody named: its address could carry what the agent has read."""
    return context.label("url") == "model"


SLACK = Operator(
    tools={
        "get_channels": _DIRECTORY,
        "get_users_in_channel": _DIRECTORY,
        "send_direct_message": _irreversible("recipient", _links("body")),
        "send_channel_message": _irreversible("channel", _links("body")),
        "add_user_to_channel": _writes("user", "channel"),
        "invite_user_to_slack": _irreversible("user", "user_email"),
        "remove_user_from_slack": _irreversible("user"),
        "post_webpage": _irreversible("url", _links("content")),
    },
    rules=(
        *_ALLOWED,
        guard(
            "made_up_address",
            reason="nobody named this page, and its address could carry what the agent has read",
            when=is_made_up_address,
            tools=("get_webpage",),
        ),
    ),
)

OPERATORS: Mapping[str, Operator] = {
    "workspace": WORKSPACE,
    "travel": TRAVEL,
    "banking": BANKING,
    "slack": SLACK,
}
