"""The dashboard and the alerts ask for metrics that there are, in PromQL that is valid."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard

from agentflow.telemetry import semconv

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "agentflow.json").read_text())
ALERTS: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "prometheus" / "agentflow-alerts.yaml").read_text())[
    "groups"
][0]["rules"]

UNITS = {semconv.OPERATION_DURATION, semconv.RUN_DURATION, semconv.DECISION_DURATION, semconv.APPROVAL_DURATION, semconv.ESCALATION_DURATION, semconv.WAITING_AGE}  # fmt: skip
"""Metrics in seconds, whose names say so in Prometheus."""
NAMES = {
    name.replace(".", "_") + ("_seconds" if name in UNITS else "")
    for word, name in vars(semconv).items()
    if word.isupper() and name.startswith(("agentflow.", "gen_ai.client."))
}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def plain(expression: str) -> str:
    """An expression without what Grafana fills in."""
    expression = expression.replace("$__rate_interval", "5m").replace("$__range", "6h")
    return expression.replace('=~"$agent"', '=~".*"')


def expressions() -> Iterator[Any]:
    for panel in panels():
        for target in panel["targets"]:
            yield pytest.param(plain(target["expr"]), id=f"{panel['title']} {target['refId']}")
    for alert in ALERTS:
        yield pytest.param(alert["expr"], id=alert["alert"])


@pytest.mark.parametrize("expression", list(expressions()))
def test_each_expression_is_promql_on_metrics_that_there_are(expression: str) -> None:
    promql_parser.parse(expression)
    asked = set(
        re.findall(
            r"\b((?:agentflow|gen_ai_client|temporal)_\w+?)(?:_total|_bucket|_sum|_count)?(?=[{\[ )]|$)",
            expression,
        )
    )
    labels = set(re.findall(r"(\w+)(?:=|!=|=~)\"", expression)) | {
        label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")
    }
    ours = {name for name in asked - labels if not name.startswith("temporal_")}
    assert ours <= NAMES
    assert asked


@pytest.mark.parametrize("expression", list(expressions()))
def test_each_label_is_an_attribute_that_there_is(expression: str) -> None:
    known = {name.replace(".", "_") for word, name in vars(semconv).items() if word.isupper()}
    temporals = {"le", "task_queue", "operation", "status_code", "worker_type"}
    labels = set(re.findall(r"(\w+)(?:=|!=|=~)\"", expression)) | {
        label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")
    }
    assert labels <= known | temporals


def test_the_dashboard_fits_grafanas_own_schema() -> None:
    dashboard = Dashboard.from_json(DASHBOARD)
    assert dashboard.title == "agentflow"
    assert len(dashboard.panels or []) == len(DASHBOARD["panels"])


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_each_alert_says_how_urgent_it_is_and_what_has_happened() -> None:
    for alert in ALERTS:
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert alert["annotations"]["summary"]
