"""What a person sees of a run in the Temporal Web UI: Markdown for its current details."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.budget import UsageReport
from agentflow.contracts.escalation import EffectInDoubt, Escalation
from agentflow.contracts.names import APPROVE_SIGNAL, REJECT_SIGNAL, RESOLVE_SIGNAL
from agentflow.contracts.wire import Json
from agentflow.core.approver_page import escalation_page, page
from agentflow.core.escalation import answers_to
from agentflow.core.idempotency import arguments_hash
from agentflow.core.visible import visible

_LAYOUT = re.compile(r"[ \t\r\n]+")

MAX_SHOWN = 4_000
"""Characters of one value: Temporal bounds the details, and a person reads no more."""


@dataclass(frozen=True)
class RunView:
    """What is shown."""

    workflow_id: str
    agent: str
    release: str
    state: str
    turn: int
    usage: UsageReport
    pending: Sequence[ApprovalRequest] = ()
    escalation: Escalation | None = None
    detail: str = ""
    frozen: Sequence[str] = ()


def details(view: RunView) -> str:
    """The run as Markdown: where it stands, what it spent, and what it waits for."""
    spent, limit = view.usage.settled, view.usage.budget.cost_usd
    lines = [
        f"**{view.agent}** `{view.release}`: **{view.state.replace('_', ' ')}**, turn {view.turn}",
        f"Spent ${spent.cost_usd:.4f} of {'no limit' if limit is None else f'${limit:.2f}'}; "
        f"{spent.model_calls} model calls, {spent.tool_calls} tool calls, "
        f"{spent.input_tokens} tokens in, {spent.output_tokens} out",
    ]
    if view.frozen:
        lines.append(f"**Frozen** for {', '.join(view.frozen)}: nothing is written")
    if view.detail:
        lines.append(_quoted(view.detail))
    lines += [approval_details(view.workflow_id, pending) for pending in view.pending]
    if view.escalation:
        lines.append(escalation_details(view.workflow_id, view.escalation))
    return "\n\n".join(lines)


def signal_command(workflow_id: str, signal: str, payload: Json) -> str:
    """The exact Temporal CLI command that sends a signal, quoted for a POSIX shell."""
    text = json.dumps(payload, ensure_ascii=False)
    command = [
        "temporal",
        "workflow",
        "signal",
        "--workflow-id",
        workflow_id,
        "--name",
        signal,
        "--input",
        text,
    ]
    return " ".join(shlex.quote(word) for word in command)


def signing_command(workflow_id: str, request: ApprovalRequest) -> str:
    """The command that signs an approval of exactly this action, quoted for a POSIX shell."""
    command = ["agentflow", "approver", "approve", workflow_id, request.id]
    return shlex.join([*command, "--hash", request.arguments_hash])


def approval_details(workflow_id: str, request: ApprovalRequest) -> str:
    """One pending action as Markdown: the approver's page, the exact arguments, how to decide."""
    decision = {"approval_id": request.id, "arguments_hash": request.arguments_hash, "by": "YOUR NAME"}
    if request.quorum.roles:
        decision["roles"] = list(request.quorum.roles)[:1]  # type: ignore[assignment]
    # Two spaces end a line of a paragraph.
    facts = "  \n".join(f"**{label}**: {_quoted(text)}" for label, text in page(request))
    return "\n\n".join(
        [
            f"### Approval `{request.id}`: {_quoted(request.tool)}",
            facts,
            _fenced(_shown(request.arguments), "json"),
            *_deciding(workflow_id, request, decision),
        ]
    )


def _deciding(workflow_id: str, request: ApprovalRequest, decision: Json) -> list[str]:
    if request.identity != "signed":
        return _commands(workflow_id, decision, is_whole=_is_whole(request.arguments) and _is_exact(request))
    # The command shows all of it before it signs, however long it is.
    return [
        "Decisions are signed. Approve (or `reject`, or `sign` to send it from here):",
        _fenced(signing_command(workflow_id, request), "sh"),
    ]


def _commands(workflow_id: str, decision: Json, *, is_whole: bool) -> list[str]:
    """The commands that decide. Nobody is handed one that approves what the page does not show."""
    reject = signal_command(workflow_id, REJECT_SIGNAL, decision)
    if not is_whole:
        whole = shlex.join(["agentflow", "approvals", workflow_id])
        return [
            "Not all of it is shown here: it is too long, or not for everybody's eyes. Read all of it first, "
            "or reject:",
            _fenced(f"{whole}\n{reject}", "sh"),
        ]
    approve = signal_command(workflow_id, APPROVE_SIGNAL, decision)
    return ["Approve or reject:", _fenced(f"{approve}\n{reject}", "sh")]


def escalation_details(workflow_id: str, escalation: Escalation) -> str:
    """An escalation as Markdown: why, what to look at, how to answer."""
    commands = [signal_command(workflow_id, RESOLVE_SIGNAL, payload) for payload in _answers(escalation)]
    effect = escalation.effect
    return "\n".join(
        [
            f"### Escalated `{escalation.id}`",
            _quoted(escalation.reason),
            *(_in_doubt(effect) if effect else ()),
            *(f"**{label}**: {_quoted(text)}  " for label, text in escalation_page(escalation)),
            f"Waits until {escalation.deadline.isoformat(timespec='seconds')}.",
            _fenced("\n".join(commands), "sh"),
        ]
    )


def _answers(escalation: Escalation) -> list[dict[str, Json]]:
    common: dict[str, Json] = {"by": "YOUR NAME", "escalation_id": escalation.id}
    if escalation.quorum.roles:
        common["roles"] = list(escalation.quorum.roles)[:1]
    if escalation.effect is None:
        abort: dict[str, Json] = {"action": "abort", "text": "WHY", **common}
        return [{"action": "guide", "text": "WHAT TO DO", **common}, abort]
    told = {"text": "WHY", "result": "WHAT THE TOOL WOULD HAVE ANSWERED"}
    return [
        {"action": answer.action, **({answer.needs: told[answer.needs]} if answer.needs else {}), **common}
        for answer in answers_to(escalation.effect)
    ]


def _in_doubt(effect: EffectInDoubt) -> list[str]:
    """What to look for at the outside system before answering."""
    if effect.earlier is not None:
        key, tool = f"`{effect.earlier.key}`", _quoted(effect.tool)
        question = (
            f"Does the earlier one count, which has the idempotency key {key}, or is it to be made again?"
        )
        if effect.earlier.other_arguments:
            question = f"Is it to be made beside the one with other arguments (idempotency key {key})?"
        return [
            f"This run has not made this {tool}. {question}",
            _fenced(_shown(effect.arguments), "json"),
        ]
    attempts = "" if effect.attempts is None else f" after {effect.attempts} attempts"
    return [
        f"Look at the outside system whether this {_quoted(effect.tool)} happened{attempts}, idempotency key "
        f"`{effect.key}`:",
        _fenced(_shown(effect.arguments), "json"),
    ]


def _shown(value: Json) -> str:
    text = _as_text(value)
    return text if _is_whole(value) else f"{text[:MAX_SHOWN]}\n… {len(text) - MAX_SHOWN} characters more"


def _is_whole(value: Json) -> bool:
    return len(_as_text(value)) <= MAX_SHOWN


def _is_exact(request: ApprovalRequest) -> bool:
    """Whether the arguments are those that a decision is bound to, and nothing in them is redacted."""
    return arguments_hash(request.tool, request.arguments) == request.arguments_hash


def _as_text(value: Json) -> str:
    # Counted as it is shown: an escape is longer than its character.
    return visible(json.dumps(value, indent=2, ensure_ascii=False))


def _fenced(text: str, language: str) -> str:
    """A code block that its own content can't close: an argument must not write the approver's page."""
    text = visible(text)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _quoted(text: str) -> str:
    """One line of text in which Markdown and HTML mean nothing."""
    # Markdown shows spaces, tabs and line breaks as one space; every other space is written out.
    line = visible(_LAYOUT.sub(" ", text).strip(" ")[:MAX_SHOWN])
    line = re.sub(r"([\\`*_{}\[\]<>#|!~&])", r"\\\1", line)
    # What makes a list, a rule or a heading stands at the start of a line.
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", line)
