CREATE TABLE agentflow_ledger (
    one  INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
    card TEXT NOT NULL  -- adapters.ledger_card.LedgerCard as JSON
) STRICT;
