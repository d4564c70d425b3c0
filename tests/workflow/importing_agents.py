"""Agents whose tools are from elsewhere."""

from datetime import timedelta

from temporalio import workflow

from agentflow import (
    AgentOutcome,
    AgentTask,
    AgentWorkflow,
    RetryOptions,
    ToolOptions,
    allow,
    ask,
    sinks_from_trusted_input,
)

with workflow.unsafe.imports_passed_through():
    from tests.workflow.imports import airflow_api, git_server, notes_server
    from tests.workflow.settings import ENDLESS, PROVEN, QUICK

SOON = ToolOptions(
    retry=RetryOptions(max_attempts=3, initial_interval=timedelta(milliseconds=10)),
    max_effect_delay=timedelta(0),
)

trigger = airflow_api.trigger_dag_run.adapted(
    sinks=["dag_id"], sentence="Start {dag_id} for {logical_date}", options=SOON
)
look_up = airflow_api.get_dag.adapted(options=SOON)
commit = git_server.git_commit.adapted(name="commit", sinks=["repo_path"], options=SOON)
log = git_server.git_log
note = notes_server.add_note.adapted(options=SOON)
notes = notes_server.read_notes.adapted(effect="read", options=SOON)


@workflow.defn
class Releaser(AgentWorkflow[str, str]):
    """Has a tool of an API, and one of an MCP server."""

    tools = (trigger, look_up, commit, log)
    rules = (
        allow("releases", reason="it may release", tools=("trigger_dag_run", "commit")),
        sinks_from_trusted_input(),
    )
    model_options = QUICK
    release = PROVEN
    loop_limits = ENDLESS

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)


@workflow.defn
class Noter(AgentWorkflow[str, str]):
    """Keeps notes on a server that misbehaves."""

    tools = (note, notes)
    rules = (
        allow("notes", reason="it may note", tools=("add_note",)),
        ask(
            "urgent",
            reason="somebody should know",
            tools=("add_note",),
            when=lambda c: c.arguments["text"].startswith("!"),
        ),
    )
    model_options = QUICK
    release = PROVEN
    loop_limits = ENDLESS

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)


@workflow.defn(name="Noter")
class ReimportedNoter(Noter):
    """The same after somebody imported the server's tools anew."""

    tools = (
        # Only the digest differs, as it does when a schema or a description has changed.
        type(note)(
            note.contract.model_copy(update={"source": note.source.model_copy(update={"digest": "f" * 64})})
        ),
        notes,
    )

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)
