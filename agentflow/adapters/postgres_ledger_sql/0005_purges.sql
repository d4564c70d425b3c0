CREATE TABLE IF NOT EXISTS agentflow_purges (
    number    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_us     bigint NOT NULL,  -- microseconds since 1970, UTC
    purged_by text NOT NULL,
    namespace text NOT NULL,
    before_us bigint NOT NULL,
    forgotten bigint NOT NULL,
    kept      bigint NOT NULL,
    refused   text NOT NULL
);
