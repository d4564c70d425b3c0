ALTER TABLE agentflow_effects
    ADD COLUMN IF NOT EXISTS chain  text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS work   text,
    ADD COLUMN IF NOT EXISTS counts text;

CREATE INDEX IF NOT EXISTS agentflow_effects_of_work ON agentflow_effects (work, created_at_us, key)
    WHERE work IS NOT NULL;
