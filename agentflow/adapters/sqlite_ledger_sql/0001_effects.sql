CREATE TABLE agentflow_effects (
    key            TEXT PRIMARY KEY NOT NULL,
    version        INTEGER NOT NULL,
    namespace      TEXT NOT NULL,
    workflow_id    TEXT NOT NULL,
    run_id         TEXT NOT NULL,
    tool           TEXT NOT NULL,
    tool_call_id   TEXT NOT NULL,
    arguments_hash TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('intended', 'done', 'failed', 'unknown')),
    owner          TEXT NOT NULL,
    attempts       INTEGER NOT NULL,
    lease_us       INTEGER NOT NULL,  -- microseconds from written_at_us
    result         TEXT,              -- a ToolResult as JSON
    detail         TEXT NOT NULL,
    closed_by      TEXT,
    created_at_us  INTEGER NOT NULL,  -- microseconds since 1970, UTC
    written_at_us  INTEGER NOT NULL
) STRICT;

CREATE INDEX agentflow_effects_by_age ON agentflow_effects (created_at_us, key);

CREATE INDEX agentflow_effects_of_workflow ON agentflow_effects (workflow_id, created_at_us, key);

CREATE INDEX agentflow_effects_open ON agentflow_effects (created_at_us, key)
    WHERE state = 'intended' OR (state = 'unknown' AND closed_by IS NULL);

CREATE INDEX agentflow_effects_ended ON agentflow_effects (written_at_us)
    WHERE NOT (state = 'intended' OR (state = 'unknown' AND closed_by IS NULL));
