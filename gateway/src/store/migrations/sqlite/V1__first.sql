-- Times are whole seconds since the Unix epoch, passed in by the program.
-- Ids are text. Whatever is secret is a digest or sealed.

CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('revocations', 0);

CREATE TABLE ring (
    id          TEXT PRIMARY KEY,
    purpose     TEXT NOT NULL,
    sealed      BLOB NOT NULL,
    created_at  BIGINT NOT NULL,
    active_from BIGINT NOT NULL,
    retires_at  BIGINT
);

-- One row for each consent page that was decided on; the id can be decided on once.
CREATE TABLE decisions (
    ticket     TEXT PRIMARY KEY,
    forget_at  BIGINT NOT NULL
);

-- Logins that are at the identity provider now.
CREATE TABLE logins (
    state      TEXT PRIMARY KEY,
    binding    TEXT NOT NULL,
    flow       TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    ask        TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE people (
    id       TEXT PRIMARY KEY,
    issuer   TEXT NOT NULL,
    subject  TEXT NOT NULL,
    shown    TEXT NOT NULL,
    name     TEXT,
    email    TEXT,
    epoch    BIGINT NOT NULL DEFAULT 0,
    seen_at  BIGINT NOT NULL,
    UNIQUE (issuer, subject)
);

-- A client has a row from the first time a person allows it something.
CREATE TABLE clients (
    reference TEXT PRIMARY KEY,
    client_id TEXT NOT NULL,
    name      TEXT,
    epoch     BIGINT NOT NULL DEFAULT 0,
    since     BIGINT NOT NULL
);

-- What a person allowed an app; lives until it is taken back.
CREATE TABLE consents (
    person     TEXT NOT NULL,
    client     TEXT NOT NULL,
    redirect   TEXT NOT NULL,
    resource   TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    allowed_at BIGINT NOT NULL,
    PRIMARY KEY (person, client, redirect, resource)
);

-- Codes under the digest of their text. Spent ones stay a day, so that a replay is seen.
CREATE TABLE codes (
    digest    TEXT PRIMARY KEY,
    code      TEXT NOT NULL,
    idp       BLOB,
    flow      TEXT NOT NULL,
    failures  BIGINT NOT NULL DEFAULT 0,
    spent_at  BIGINT,
    forget_at BIGINT NOT NULL
);

-- One login of one person for one app: a family of refresh tokens.
CREATE TABLE grants (
    id           TEXT PRIMARY KEY,
    person       TEXT NOT NULL,
    client_id    TEXT NOT NULL,
    client       TEXT NOT NULL,
    resource     TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    secret       BLOB NOT NULL,
    family       TEXT NOT NULL,
    flow         TEXT NOT NULL,
    idp          BLOB,
    created_at   BIGINT NOT NULL,
    used_at      BIGINT NOT NULL,
    access_until BIGINT NOT NULL,
    idle_until   BIGINT NOT NULL,
    ends_at      BIGINT NOT NULL,
    ended_at     BIGINT,
    ended_why    TEXT
);
CREATE INDEX grants_by_person ON grants (person, client);

-- What the guard must refuse although it has not expired; numbered without gaps.
CREATE TABLE revocations (
    seq         BIGINT PRIMARY KEY,
    kind        TEXT NOT NULL,
    id          TEXT NOT NULL,
    epoch       BIGINT NOT NULL,
    until_at    BIGINT NOT NULL
);

-- The record of logins; see the core's flow module for what a step can hold.
CREATE TABLE flows (
    code      TEXT NOT NULL,
    number    BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    step      TEXT NOT NULL,
    browser   TEXT,
    PRIMARY KEY (code, number)
);
CREATE INDEX flows_by_time ON flows (at);
