-- Either table may have been dropped alone: the other one stays as it is.
ALTER TABLE agentflow_effects
    ADD COLUMN IF NOT EXISTS agent  text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS tenant text NOT NULL DEFAULT '';

CREATE TABLE IF NOT EXISTS agentflow_stops (
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace    text NOT NULL,
    key          text NOT NULL,
    stopped_by   text NOT NULL,
    reason       text NOT NULL,
    since_us     bigint NOT NULL,  -- microseconds since 1970, UTC, by the server's clock
    ended_by     text,
    ended_reason text NOT NULL DEFAULT '',
    ended_at_us  bigint
);

CREATE UNIQUE INDEX IF NOT EXISTS agentflow_stops_holding ON agentflow_stops (namespace, key) WHERE ended_at_us IS NULL;

CREATE INDEX IF NOT EXISTS agentflow_stops_by_age ON agentflow_stops (namespace, since_us);

CREATE INDEX IF NOT EXISTS agentflow_stops_ended ON agentflow_stops (ended_at_us) WHERE ended_at_us IS NOT NULL;
