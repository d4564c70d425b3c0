ALTER TABLE agentflow_effects ADD COLUMN chain TEXT NOT NULL DEFAULT '';

ALTER TABLE agentflow_effects ADD COLUMN work TEXT;

ALTER TABLE agentflow_effects ADD COLUMN counts TEXT;

CREATE INDEX agentflow_effects_of_work ON agentflow_effects (work, created_at_us, key) WHERE work IS NOT NULL;
