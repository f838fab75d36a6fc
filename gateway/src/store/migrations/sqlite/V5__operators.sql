-- What operators decided about clients and people.
ALTER TABLE clients ADD COLUMN blocked_at BIGINT;
ALTER TABLE clients ADD COLUMN blocked_why TEXT;
ALTER TABLE clients ADD COLUMN trusted_at BIGINT;
-- What it may ask for at most; no limit of its own without.
ALTER TABLE clients ADD COLUMN scopes TEXT;
ALTER TABLE people ADD COLUMN blocked_at BIGINT;
ALTER TABLE people ADD COLUMN blocked_why TEXT;
CREATE INDEX grants_by_client ON grants (client);

-- People who became operators by a link, besides those of the configured groups.
CREATE TABLE operators (
    person TEXT PRIMARY KEY,
    since  BIGINT NOT NULL
);

-- Links that make one person an operator, once.
CREATE TABLE operator_links (
    digest     TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

-- One row for each login, for lists; kept up with its steps.
CREATE TABLE flow_heads (
    code     TEXT PRIMARY KEY,
    begun_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    client   TEXT,
    server   TEXT,
    person   TEXT,
    outcome  TEXT NOT NULL,
    error    TEXT
);
CREATE INDEX flow_heads_by_time ON flow_heads (last_at);
