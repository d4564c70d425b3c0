"""What the demo shows: a live table, the questions to the person at the terminal, and the score."""

import asyncio
from collections.abc import Iterable

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from agentflow.cli.asking import choose
from agentflow.cli.demo_run import Deciders, Decision, Progress, Score
from agentflow.cli.output import safe
from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.outcome import AgentOutcome

_STYLES = {
    "completed": "green",
    "escalated": "yellow",
    "denied": "red",
    "failed": "bold red",
    "waiting_for_approval": "cyan",
}


class LiveTable:
    """The table, redrawn as runs go on; without a terminal, a line for each change of state."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._told: dict[str, str] = {}

    def __enter__(self) -> "LiveTable":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def show(self, runs: Iterable[Progress]) -> None:
        """Draw where the runs stand."""
        if self._console.is_terminal:
            self._live.update(table(list(runs)))
            return
        for run in runs:
            state = _state(run)
            if self._told.get(run.case.case_id) != state:
                self._told[run.case.case_id] = state
                self._console.print(
                    safe(f"{run.case.case_id}  {state.replace('_', ' ')}  {run.detail[:100]}")
                )

    def pause(self) -> None:
        """Make room for a question."""
        self._live.stop()

    def resume(self) -> None:
        """Go on drawing."""
        if self._console.is_terminal:
            self._live.start()


class PersonAtTerminal(Deciders):
    """Asks whoever started the demo. One question at a time."""

    def __init__(self, console: Console, live: LiveTable) -> None:
        self._console = console
        self._live = live
        self._one_question = asyncio.Lock()

    async def approval(self, progress: Progress, request: ApprovalRequest, approved_by: int) -> Decision:
        """Show the action and ask for a name and a decision."""
        lines = [f"{name} = {value}" for name, value in request.arguments.items()]
        ticket = progress.case.task().input
        shown = Group(
            safe(f"{progress.case.case_id}: {progress.case.title}", style="bold"),
            safe(str(getattr(ticket, "body", ""))[:600], style="dim"),
            safe(f"\n{request.tool}", style="bold cyan"),
            safe("\n".join(lines)),
            safe(f"\n{request.reason} (rule {request.rule})"),
        )
        async with self._one_question:
            self._live.pause()
            try:
                needed = f"person {approved_by + 1} of {request.quorum.people}"
                self._console.print(Panel(shown, title=f"Approve? ({needed})", expand=False))
                verdict = await _asked("approve or reject", ["approve", "reject"], "reject")
                name = await _asked(
                    "your name", None, "me" if approved_by == 0 else f"colleague {approved_by}"
                )
            finally:
                self._live.resume()
        return Decision("approve" if verdict == "approve" else "reject", name, "decided at the terminal")

    async def escalation(self, progress: Progress, escalation: Escalation) -> Resolution:
        """Show why a person is needed, and ask what to do."""
        async with self._one_question:
            self._live.pause()
            try:
                shown = safe(f"{progress.case.case_id}: {progress.case.title}\n\n{escalation.reason}")
                self._console.print(Panel(shown, title="Escalated", expand=False))
                text = await _asked(_what_to_say(escalation), None, "")
            finally:
                self._live.resume()
        # A write in doubt takes no guidance; `agentflow resolve` takes what a person found out.
        action = "guide" if text and escalation.effect is None else "abort"
        return Resolution(
            action=action, by="me", text=text or "taken over by hand", escalation_id=escalation.id
        )


def table(runs: list[Progress]) -> Table:
    """Each case: what was proposed, which rule decided, who approved, cost, outcome."""
    shown = Table(title="agentflow demo", expand=False)
    for column in ("ticket", "proposal", "rule", "people", "cost", "outcome", "as labelled"):
        shown.add_column(column, overflow="fold")
    for run in runs:
        state = _state(run)
        outcome = run.outcome
        label = "" if not run.is_over else ("yes" if run.matches else "no")
        shown.add_row(
            safe(f"{run.case.case_id} {run.case.title[:30]}"),
            safe(run.case.proposal(outcome) if outcome else ""),
            safe(_rules(outcome) if outcome else ""),
            safe("\n".join(run.approvals)),
            safe(f"${outcome.cost_usd:.5f}" if outcome else ""),
            safe(state.replace("_", " "), style=_STYLES.get(state, "")),
            safe(label, style="green" if label == "yes" else "red"),
        )
    return shown


def summary(score: Score) -> Table:
    """The score, for reading."""
    shown = Table(show_header=False, expand=False)
    cpsc = "no run succeeded" if score.cpsc_usd is None else f"${score.cpsc_usd:.5f}"
    for name, value in (
        ("tickets", score.tickets),
        ("completed / escalated / denied", f"{score.completed} / {score.escalated} / {score.denied}"),
        ("ended as labelled", f"{score.label_matches} of {score.tickets}"),
        ("wrong refunds at payments", score.wrong_refunds),
        ("duplicate refunds at payments", score.duplicate_refunds),
        ("cost", f"${score.cost_usd:.5f}"),
        ("cost per successful completion (CPSC)", cpsc),
        ("seconds", score.seconds),
    ):
        shown.add_row(name, str(value))
    return shown


def _what_to_say(escalation: Escalation) -> str:
    if escalation.effect is None:
        return "tell the model what to do, or leave empty to take over by hand"
    return "nobody knows whether it happened, so you take over by hand: say why, or leave empty"


def _state(run: Progress) -> str:
    return run.outcome.status if run.outcome else run.state


def _rules(outcome: AgentOutcome[object]) -> str:
    """The rules that decided on writes, and on anything refused."""
    rules = [c.rule for c in outcome.tool_calls if c.rule and c.rule != "default"]
    return ", ".join(dict.fromkeys(rules))


async def _asked(question: str, choices: list[str] | None, default: str) -> str:
    """Ask without holding up the runs: the prompt blocks a thread of its own."""
    return await asyncio.to_thread(choose, question, choices, default)
