"""The worker's settings."""

import pytest
from pydantic import ValidationError

from activities.settings import Settings


@pytest.mark.parametrize(
    "misspelt", ["AGENTFLOW_TEIR", "AGENTFLOW_APROVERS", "AGENTFLOW_TIERS", "AGENTFLOW_WEBHOOK_SECRETS"]
)
def test_a_variable_that_is_almost_a_setting_is_refused(
    misspelt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"model": "lab:small", "payments_key": "sk_test", "tier": "dev"}
    assert Settings.model_validate(given).tier == "dev"
    monkeypatch.setenv(misspelt, "production")
    with pytest.raises(ValidationError, match=f"{misspelt} means nothing"):
        Settings.model_validate(given)


def test_variables_of_the_command_line_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("APPROVER_KEY", "APPROVER_PASSPHRASE", "AUDIT_HOME", "AUDIT_KMS_KEY"):
        monkeypatch.setenv(f"AGENTFLOW_{name}", "x")
    assert Settings.model_validate({"model": "lab:small", "payments_key": "sk_test", "tier": "dev"})


def test_a_worker_that_does_not_say_its_tier_has_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTFLOW_TIER", raising=False)
    with pytest.raises(ValidationError, match="tier"):
        Settings.model_validate({"model": "lab:small", "payments_key": "sk_test"})
