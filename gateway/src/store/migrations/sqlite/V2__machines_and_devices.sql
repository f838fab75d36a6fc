-- What may be used once: assertions and proofs. Shared by all, so that a second use is seen
-- wherever it comes.
CREATE TABLE spent (
    digest    TEXT PRIMARY KEY,
    until_at  BIGINT NOT NULL
);
CREATE INDEX spent_by_time ON spent (until_at);

-- Groups and roles as the provider last told them, for the rules.
ALTER TABLE people ADD COLUMN groups TEXT NOT NULL DEFAULT '[]';

-- The key that a public client's refresh tokens are bound to.
ALTER TABLE grants ADD COLUMN bound_to TEXT;
-- One grant for a subject, client and server where nobody logs in: machines and assertions.
ALTER TABLE grants ADD COLUMN standing TEXT;
CREATE UNIQUE INDEX grants_standing ON grants (standing);

-- Requests of devices, until they are fetched or too late.
CREATE TABLE devices (
    device     TEXT PRIMARY KEY,
    user_code  TEXT NOT NULL UNIQUE,
    request    TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    code       BLOB,
    polled_at  BIGINT,
    wait       BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX devices_by_time ON devices (expires_at);
