"""What a worker refuses to start with, and what it logs as it starts."""

import types
from typing import Any

import pytest
from structlog.testing import capture_logs
from temporalio import workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow import AgentflowPlugin, AgentOutcome, AgentTask, AgentWorkflow, RuleSet, allow, ask, deny, tool
from agentflow.adapters.cedar import cedar_policies
from agentflow.adapters.signer import Signer
from agentflow.contracts.rules import Tier
from agentflow.core.ready_rules import sinks_from_trusted_input
from agentflow.core.rules import EVERY_TIER, Rule
from agentflow.errors import ConfigurationError
from agentflow.start_checks import check_agents, tier_of_worker, warn_of_unheld_roles
from agentflow.testing import MemoryLedger, ScriptedModel
from agentflow.testing.settings import TEST_SEAL_KEYS, scripted_plugin
from tests.workflow.agents import Banker


@tool(effect="write")
async def note(text: str) -> str:
    """Note."""
    return text


@tool(effect="read")
async def look(text: str) -> str:
    """Look."""
    return text


def agent_with(*rules: Rule, policies: Any = ()) -> Any:
    async def run(self: Any, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    run.__qualname__ = "Noting.run"
    rule_set = RuleSet("notes", "1", rules, policies)
    given = {"tools": (note, look), "rules": rule_set, "run": workflow.run(run), "__module__": __name__}
    return workflow.defn(
        types.new_class("Noting", (AgentWorkflow[str, str],), {}, lambda at: at.update(given))
    )


@workflow.defn
class Other:
    @workflow.run
    async def run(self) -> None: ...


SILENT = [allow("a", reason=""), ask("b", reason=""), Rule("c", "allow", ""), Rule("d", "ask", "")]


@pytest.mark.parametrize("rule", SILENT, ids=lambda rule: rule.name)
def test_a_rule_that_opens_a_door_and_names_no_tiers_keeps_a_worker_in_production_from_starting(
    rule: Rule,
) -> None:
    agent = agent_with(rule)
    for elsewhere in ("dev", "staging"):
        check_agents([agent], elsewhere)
    with pytest.raises(ConfigurationError, match=f"Noting: rule {rule.name} .* tiers="):
        check_agents([agent], "production")


SOUND = [
    allow("everywhere", reason="", tiers=EVERY_TIER),
    allow("elsewhere", reason="", tiers=("dev", "staging")),
    deny("never", reason=""),
    Rule("by_hand", "deny", ""),
    sinks_from_trusted_input(),
]


@pytest.mark.parametrize("rule", SOUND, ids=lambda rule: rule.name)
def test_a_rule_that_names_its_tiers_or_closes_a_door_starts_anywhere(rule: Rule) -> None:
    check_agents([agent_with(rule)], "production")


@pytest.mark.parametrize("verdict", ["deny", "ask"])
def test_a_rule_made_by_hand_that_closes_a_door_holds_in_every_tier(verdict: Any) -> None:
    assert Rule("by_hand", verdict, "", is_guard=verdict == "ask").holds_in == EVERY_TIER


CEDAR = {
    "permit (principal, action, resource);": True,
    'permit (principal, action == Action::"note", resource);': True,
    'permit (principal, action in [Action::"look", Action::"note"], resource);': True,
    'permit (principal, action == Action::"look", resource);': False,
    "forbid (principal, action, resource);": False,
    'permit (principal, action, resource) when { context.tier == Tier::"dev" };': False,
    'permit (principal, action, resource) when { context.tier == Tier::"production" };': False,
}


@pytest.mark.parametrize("text", CEDAR)
def test_a_cedar_permit_for_writes_that_names_no_tier_keeps_one_in_production_from_starting(
    text: str,
) -> None:
    agent = agent_with(policies=(cedar_policies(text, (note, look)),))
    if not CEDAR[text]:
        check_agents([agent], "production")
        return
    with pytest.raises(ConfigurationError, match="policy policy0"):
        check_agents([agent], "production")


def test_what_is_set_after_the_class_was_made_keeps_a_worker_from_starting() -> None:
    agent = agent_with()
    agent.buget = 3
    with pytest.raises(ConfigurationError, match="budget does"):
        check_agents([agent], "dev")


def test_workflows_that_are_no_agents_are_passed_over() -> None:
    check_agents([Other], "production")


def test_a_worker_without_a_tier_is_one_only_if_it_does_nothing() -> None:
    assert tier_of_worker(None, works=False) == "dev"
    assert tier_of_worker("staging", works=True) == "staging"
    with pytest.raises(ConfigurationError, match="say where this worker runs"):
        tier_of_worker(None, works=True)


SERVING: dict[str, dict[str, Any]] = {
    "agents": {},
    "tools": {"models": None, "model_client": None, "tools": [note], "ledger": MemoryLedger()},
    "a ledger": {"models": None, "model_client": None, "ledger": MemoryLedger()},
}


@pytest.mark.parametrize("serves", SERVING)
async def test_a_worker_that_serves_something_does_not_start_without_a_tier(
    temporal: WorkflowEnvironment, serves: str
) -> None:
    plain = scripted_plugin(ScriptedModel([]))
    given = {"models": plain._models, "model_client": ScriptedModel([]), **SERVING[serves]}  # pyright: ignore
    client = await temporal.connect_client(plugins=[AgentflowPlugin(**given, seals=TEST_SEAL_KEYS)])
    with pytest.raises(ConfigurationError, match="say where this worker runs"):
        Worker(client, task_queue="q", workflows=[agent_with()])


async def test_a_worker_in_production_does_not_start_with_a_rule_that_never_matches_there(
    temporal: WorkflowEnvironment,
) -> None:
    plugin = scripted_plugin(ScriptedModel([]), tier="production", approvers="trusted")
    client = await temporal.connect_client(plugins=[plugin])
    with pytest.raises(ConfigurationError, match="rule small name no tiers"):
        Worker(client, task_queue="q", workflows=[agent_with(allow("small", reason=""))])


class Keys:
    def __init__(self, *signers: Signer) -> None:
        self._signers = signers

    async def keys(self) -> Any:
        return tuple(signer.public() for signer in self._signers)


@pytest.mark.parametrize(
    ("tier", "approvers", "level"),
    [("dev", None, "warning"), ("staging", "trusted", "info"), ("dev", "signed", "info")],
)
async def test_a_worker_says_at_its_start_where_it_is_and_whose_word_it_takes(
    temporal: WorkflowEnvironment, tier: Tier, approvers: str | None, level: str
) -> None:
    source: Any = Keys(Signer.generate("ann")) if approvers == "signed" else approvers
    plugin = scripted_plugin(ScriptedModel([]), tier=tier, approvers=source)
    client = await temporal.connect_client(plugins=[plugin])
    with capture_logs() as logs:
        async with Worker(client, task_queue="start-checks", workflows=[Banker]):
            pass
    started = next(line for line in logs if line["event"].startswith("worker starts"))
    assert (started["log_level"], started["tier"]) == (level, tier)
    assert started["approvers"] == (approvers or "trusted")
    assert started["agents"] == ["Banker"]


def test_a_rule_for_roles_that_no_key_gives_is_logged() -> None:
    agent = agent_with(
        ask("finance", reason="", roles=("finance",)), ask("legal", reason="", roles=("Legal", "cfo"))
    )
    keys = [Signer.generate("ann", ("legal",)).public()]
    with capture_logs() as logs:
        warn_of_unheld_roles([agent], keys)
    assert [(line["rule"], line["roles"]) for line in logs] == [("finance", ["finance"])]
