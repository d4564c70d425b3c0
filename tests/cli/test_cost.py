"""``agentflow cost``: what runs cost, by what, and what a success costs."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from tests.cli.harness import CommandLine, eventually


@pytest.fixture(scope="module")
def tenant(agentflow: CommandLine) -> str:
    """Two runs that completed, one that was refused and one that waits."""
    name = f"tenant-{uuid4()}"
    runs = [agentflow.waiting(f"pay {n}.00", "--tenant", name) for n in range(1, 5)]
    for run in runs[:2]:
        agentflow("approve", run, "approval-1", "--by", "ann", "--yes")
        agentflow.outcome(run)
    eventually(lambda: agentflow("cost", "--tenant", name, "--json").document["total"]["completed"] == 2)
    return name


def costs(agentflow: CommandLine, tenant: str, by: str) -> Any:
    return agentflow("cost", "--tenant", tenant, "--by", by, "--json").document


def outcomes(agentflow: CommandLine, tenant: str) -> Decimal:
    rows = agentflow("runs", "--tenant", tenant, "--json").document["runs"]
    spent = Decimal(0)
    for row in rows:
        standing = agentflow("status", row["workflow_id"], "--json").document
        told = standing["outcome"] or {"cost_usd": standing["usage"]["settled"]["cost_usd"]}
        spent += Decimal(told["cost_usd"])
    return spent


@pytest.mark.parametrize("by", ["agent", "release", "tenant", "model"])
def test_the_cost_is_the_sum_of_the_outcomes(agentflow: CommandLine, tenant: str, by: str) -> None:
    found = costs(agentflow, tenant, by)
    assert (found["total"]["runs"], found["total"]["completed"]) == (4, 2)
    assert Decimal(found["total"]["cost_usd"]) == outcomes(agentflow, tenant)
    assert sum(Decimal(line["cost_usd"]) for line in found["lines"]) == Decimal(found["total"]["cost_usd"])
    cpsc = Decimal(found["total"]["cost_usd"]) / 2
    assert Decimal(found["total"]["cpsc_usd"]) == cpsc.quantize(Decimal("1e-6"))


def test_groups_are_named(agentflow: CommandLine, tenant: str) -> None:
    assert [line["group"] for line in costs(agentflow, tenant, "agent")["lines"]] == ["Cashier"]
    assert [line["group"] for line in costs(agentflow, tenant, "tenant")["lines"]] == [tenant]
    assert [line["group"] for line in costs(agentflow, tenant, "model")["lines"]] == ["scripted:model"]
    shown = agentflow("cost", "--tenant", tenant).stdout
    assert "CPSC" in shown


def test_a_time_that_is_none_is_refused(agentflow: CommandLine) -> None:
    assert agentflow("cost", "--since", "a week").exit_code == 2
    assert agentflow("cost", "--since", "999999d").exit_code == 2


def test_nothing_is_nothing(agentflow: CommandLine) -> None:
    assert "no runs" in agentflow("cost", "--tenant", "nobody's").stdout
