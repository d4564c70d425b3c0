ALTER TABLE agentflow_effects ADD COLUMN agent TEXT NOT NULL DEFAULT '';

ALTER TABLE agentflow_effects ADD COLUMN tenant TEXT NOT NULL DEFAULT '';

CREATE TABLE agentflow_stops (
    number       INTEGER PRIMARY KEY NOT NULL,
    namespace    TEXT NOT NULL,
    key          TEXT NOT NULL,
    stopped_by   TEXT NOT NULL,
    reason       TEXT NOT NULL,
    since_us     INTEGER NOT NULL,  -- microseconds since 1970, UTC
    ended_by     TEXT,
    ended_reason TEXT NOT NULL DEFAULT '',
    ended_at_us  INTEGER
) STRICT;

CREATE UNIQUE INDEX agentflow_stops_holding ON agentflow_stops (namespace, key) WHERE ended_at_us IS NULL;

CREATE INDEX agentflow_stops_by_age ON agentflow_stops (namespace, since_us);

CREATE INDEX agentflow_stops_ended ON agentflow_stops (ended_at_us) WHERE ended_at_us IS NOT NULL;
