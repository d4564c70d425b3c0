"""Names that both sides of the wall know: activities, signals, updates, queries, search attributes."""

CHAT_ACTIVITY = "chat"
RESOLVE_MANIFEST_ACTIVITY = "resolve_manifest"
RECONCILE_EFFECT_ACTIVITY = "reconcile_effect"
IDENTIFY_LEDGER_ACTIVITY = "identify_ledger"
GUARD_OUTPUT_ACTIVITY = "guard_output"
CLOSE_EFFECT_ACTIVITY = "close_effect"
NOTIFY_ACTIVITY = "notify"
VERIFY_APPROVER_ACTIVITY = "verify_approver"
FIND_ARRIVALS_ACTIVITY = "find_arrivals"
RECORD_ACTIVITY = "record"
STORE_STATE_ACTIVITY = "store_state"
LOAD_STATE_ACTIVITY = "load_state"

APPROVE_SIGNAL = "approve"
REJECT_SIGNAL = "reject"
RESOLVE_SIGNAL = "resolve"
FREEZE_SIGNAL = "freeze"
UNFREEZE_SIGNAL = "unfreeze"
REVOKE_SIGNAL = "revoke"
DECIDE_UPDATE = "decide"
AWAIT_ATTENTION_UPDATE = "await_attention"

STATUS_QUERY = "status"
PENDING_APPROVALS_QUERY = "pending_approvals"
USAGE_QUERY = "usage"
DECISIONS_QUERY = "decisions"

AGENT_NAME = "AgentName"
AGENT_STATUS = "AgentStatus"
AGENT_OUTCOME = "AgentOutcome"
AGENT_RELEASE = "AgentRelease"
AGENT_TENANT = "AgentTenant"
AGENT_COST_USD = "AgentCostUsd"
AGENT_PENDING_APPROVALS = "AgentPendingApprovals"
AGENT_APPROVAL_ROLES = "AgentApprovalRoles"

ANY_ROLE = "*"
"""In ``AgentApprovalRoles``: of an action that everybody may decide on."""
APPROVALS_MEMO = "agentflow.approvals"
"""Memo of a run: its pending actions, so that a list of them asks no worker. Encrypted as payloads are."""

SEARCH_ATTRIBUTES: dict[str, str] = {
    AGENT_NAME: "Keyword",
    AGENT_STATUS: "Keyword",
    AGENT_OUTCOME: "Keyword",
    AGENT_RELEASE: "Keyword",
    AGENT_TENANT: "Keyword",
    AGENT_COST_USD: "Double",
    AGENT_PENDING_APPROVALS: "Int",
    AGENT_APPROVAL_ROLES: "KeywordList",
}
"""Search attributes by name, with their Temporal type. None holds personal data."""

GUARD_REFUSED_ERROR = "GuardRefused"
"""Application error type: the input guard did not let a model see what it was to see."""
SEAL_METADATA = "af-seal"
"""Key in a payload's metadata: the seal of an activity's argument or answer."""
FUNDS_METADATA = "af-funds"
"""Key in the metadata of what an activity is sent that may cost something: dollars settled by then, and
reserved; of a model call also the bytes of its prompt. History has them by it, however the run ends."""

FAILURE_SEAL = "seal"
"""In the details of a failure: the seal of what it says."""
SEAL_REFUSED_ERROR = "SealRefused"
"""Application error type: an activity was asked, or a run answered, what the fleet had not sealed."""
EFFECT_BUSY_ERROR = "EffectBusy"
"""Application error type: an earlier attempt may still have its effect. Its first detail says how long."""
BUSY_SECONDS = "wait_seconds"
"""In the details of such a failure."""
NOT_BEGUN = "not_begun"
"""In the details of a failure, and true: the attempt did nothing, and found no trace of another."""
ON_RECORD = "on_record"
"""Beside it: whether the ledger has a record that says so."""
EFFECT_UNKNOWN_ERROR = "EffectUnknown"
"""Application error type: a side effect may or may not have happened."""
UNBILLED = "unbilled"
"""In the details of a failed model call, and true: its last attempt was certainly not billed."""
CALLS = "calls"
"""In the details of such a failure: how many attempts may have called the tool."""
BILLED = "billed"
"""In the details of a tool's or an inquiry's failure: what its attempts have called, or may have."""
EARLIER_EFFECT_ERROR = "EarlierEffect"
"""Application error type: an earlier run of the workflow id had the very effect; nothing was done."""
SETTLED_USD = "settled_usd"
"""In the details of the failure of a run that ended by a bug: dollars settled."""
FORBIDDEN_NOW_ERROR = "ForbiddenNow"
"""Application error type: a write that was allowed is forbidden by now, and was not made."""
