"""What a worker holds its agents against before it starts, and what it says of itself then."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from agentflow.activity.bounded import in_bounded_time
from agentflow.activity.manifest import PRICE_SECONDS, ModelRegistry
from agentflow.contracts.identity import ApproverKey
from agentflow.contracts.messages import UserMessage
from agentflow.contracts.rules import Tier
from agentflow.core.budget import Purse
from agentflow.core.person import folded
from agentflow.core.pricing import brief_token_bound, message_token_bound, worst_case
from agentflow.core.rules import RuleSet
from agentflow.errors import ConfigurationError, UnknownModelError
from agentflow.telemetry.logs import failure
from agentflow.workflow.agent_checks import check_unchanged
from agentflow.workflow.definition import AgentDefinition, definition_of

_LOG = structlog.get_logger("agentflow")


def tier_of_worker(tier: Tier | None, *, works: bool) -> Tier:
    """The tier of a worker. One that is left out would make a worker with real credentials one of ``dev``.

    Args:
        tier: As it is configured.
        works: Whether the worker serves agents, tools or a ledger.

    Raises:
        ConfigurationError: it isn't there, and the worker works.
    """
    if tier is None and works:
        raise ConfigurationError(
            'say where this worker runs: AgentflowPlugin(tier="dev"), "staging" or "production"; rules hold '
            "by tier, and outside of production approvers are taken at their word unless approvers= is given"
        )
    return tier or "dev"


def check_agents(workflows: Sequence[type], tier: Tier) -> None:
    """Hold a worker's agents against its tier.

    Args:
        workflows: The worker's; those that are no agents are passed over.
        tier: The worker's.

    Raises:
        ConfigurationError: an agent's attributes were set after its class was made; or, in production, a rule
            that opens a door names no tiers: it would never match there.
    """
    for kind in workflows:
        if (definition := definition_of(kind)) is None:
            continue
        check_unchanged(kind)
        if tier == "production" and (silent := _without_tiers(definition.rules)):
            raise ConfigurationError(
                f"{kind.__name__}: {', '.join(silent)} name no tiers, and so never match in production: "
                'write tiers=("dev", "staging", "production") where they are to, and '
                'tiers=("dev", "staging") where they are not'
            )


def warn_of_unheld_roles(workflows: Sequence[type], keys: Sequence[ApproverKey]) -> None:
    """Log the rules that ask for roles which no approver's key gives: nobody could agree.

    Args:
        workflows: The worker's.
        keys: The approvers', as they are now. They may be others by the time that somebody is asked.
    """
    held = {folded(role) for key in keys for role in key.roles}
    for kind in workflows:
        definition = definition_of(kind)
        for rule in definition.rules.rules if definition else ():
            wanted = rule.quorum.roles if rule.quorum else ()
            if wanted and held.isdisjoint(map(folded, wanted)):
                _LOG.warning(
                    "a rule asks for roles that no approver's key gives",
                    agent=kind.__name__,
                    rule=rule.name,
                    roles=list(wanted),
                )


def announce(tier: Tier, workflows: Sequence[type], task_queue: str, *, signed: bool, trusted: bool) -> None:
    """Log what starts, where, and whose word it takes.

    Args:
        tier: The worker's.
        workflows: The worker's.
        task_queue: The worker's.
        signed: Whether approvers sign.
        trusted: Whether it is configured that they are taken at their word, and not by default.
    """
    agents = [kind.__name__ for kind in workflows if definition_of(kind) is not None]
    approvers = "signed" if signed else "trusted"
    about = {"tier": tier, "approvers": approvers, "agents": agents, "task_queue": task_queue}
    if agents and not signed and not trusted:
        _LOG.warning("worker starts: whoever may signal a run may approve, under any name", **about)
    else:
        _LOG.info("worker starts", **about)


def _without_tiers(rules: RuleSet) -> list[str]:
    opening = [f"rule {rule.name}" for rule in rules.rules if rule.tiers is None and not rule.closes]
    cedar = [f"policy {name}" for each in rules.policies for name in getattr(each, "without_tier", ())]
    return opening + cedar


async def warn_of_poor_agents(workflows: Sequence[type], registry: ModelRegistry) -> None:
    """Log, for each agent that can't make a single model call on this worker, why not.

    It refuses nothing: other agents of the worker can, and prices may be others by the time of a run.
    """
    agents = [definition for kind in workflows if (definition := definition_of(kind))]

    def ask() -> list[tuple[str, str]]:
        return [(agent.name, why) for agent in agents if (why := poverty(agent, registry))]

    try:
        found = await asyncio.to_thread(in_bounded_time, ask, PRICE_SECONDS)
    except Exception as error:
        _LOG.warning("budgets were not compared with the models' prices", **failure(error))
        return
    for agent, why in found:
        _LOG.warning("an agent can't make a single model call on this worker", agent=agent, reason=why)


def poverty(agent: AgentDefinition[Any], registry: ModelRegistry) -> str | None:
    """Why an agent can't make a single model call; ``None`` if it can, by its own budget."""
    purse, options = Purse(agent.budget), agent.model_options
    tokens = brief_token_bound(agent.instructions, agent.offers, agent.output_form.schema)
    tokens += message_token_bound(UserMessage(text="", label="person"))
    why = ""
    for name in agent.models:
        try:
            model = registry.resolve(name)
        except UnknownModelError as error:
            # One of the route is enough: its runs are denied.
            return str(error)
        shortfall = purse.shortfall(worst_case(model.price, tokens, options.max_output_tokens))
        if shortfall is None:
            return None
        why = (
            f"a call of {model.name} with the shortest task does not fit the budget: {shortfall}; raise the "
            "budget, or lower max_output_tokens of its model_options"
        )
    return why
