CREATE TABLE IF NOT EXISTS agentflow_ledger (
    one  integer PRIMARY KEY CHECK (one = 1),
    card text NOT NULL  -- adapters.ledger_card.LedgerCard as JSON
);
