CREATE TABLE agentflow_effects (
    key            text COLLATE "C" PRIMARY KEY,
    version        bigint NOT NULL,
    namespace      text NOT NULL,
    workflow_id    text NOT NULL,
    run_id         text NOT NULL,
    tool           text NOT NULL,
    tool_call_id   text NOT NULL,
    arguments_hash text NOT NULL,
    state          text NOT NULL CHECK (state IN ('intended', 'done', 'failed', 'unknown')),
    owner          text NOT NULL,
    attempts       bigint NOT NULL,
    lease_us       bigint NOT NULL,  -- microseconds from written_at_us
    result         text,             -- a ToolResult as JSON
    detail         text NOT NULL,
    closed_by      text,
    created_at_us  bigint NOT NULL,  -- microseconds since 1970, UTC, by the server's clock
    written_at_us  bigint NOT NULL
);

CREATE INDEX agentflow_effects_by_age ON agentflow_effects (created_at_us, key);

CREATE INDEX agentflow_effects_open ON agentflow_effects (created_at_us, key)
    WHERE state = 'intended' OR (state = 'unknown' AND closed_by IS NULL);

CREATE INDEX agentflow_effects_ended ON agentflow_effects (written_at_us)
    WHERE NOT (state = 'intended' OR (state = 'unknown' AND closed_by IS NULL));
