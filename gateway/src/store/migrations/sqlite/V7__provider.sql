-- When the provider last vouched for a person, and for the person of a grant; until when
-- somebody is asking it about a grant. Their session there, where it names one.
ALTER TABLE people ADD COLUMN vouched_at BIGINT NOT NULL DEFAULT 0;
UPDATE people SET vouched_at = coalesce(seen_at, 0);
ALTER TABLE grants ADD COLUMN idp_checked_at BIGINT;
ALTER TABLE grants ADD COLUMN idp_asking_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN sid TEXT;
ALTER TABLE codes ADD COLUMN sid TEXT;
ALTER TABLE sessions ADD COLUMN sid TEXT;
CREATE INDEX grants_by_sid ON grants (sid) WHERE sid IS NOT NULL;
CREATE INDEX codes_by_sid ON codes (sid) WHERE sid IS NOT NULL;
CREATE INDEX sessions_by_sid ON sessions (sid) WHERE sid IS NOT NULL;
