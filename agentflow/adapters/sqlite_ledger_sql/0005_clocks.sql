ALTER TABLE agentflow_effects ADD COLUMN written_boot TEXT;  -- names a start of the machine

ALTER TABLE agentflow_effects ADD COLUMN written_up_us INTEGER;  -- microseconds from that start

CREATE TABLE agentflow_purges (
    number    INTEGER PRIMARY KEY NOT NULL,
    at_us     INTEGER NOT NULL,  -- microseconds since 1970, UTC
    purged_by TEXT NOT NULL,
    namespace TEXT NOT NULL,
    before_us INTEGER NOT NULL,
    forgotten INTEGER NOT NULL,
    kept      INTEGER NOT NULL,
    refused   TEXT NOT NULL
) STRICT;
