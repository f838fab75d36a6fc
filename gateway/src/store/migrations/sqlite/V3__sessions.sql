-- People's own sessions at our pages, under the digest of their cookie.
CREATE TABLE sessions (
    digest   TEXT PRIMARY KEY,
    person   TEXT NOT NULL,
    begun_at BIGINT NOT NULL,
    ends_at  BIGINT NOT NULL
);
CREATE INDEX sessions_by_person ON sessions (person);
CREATE INDEX sessions_by_time ON sessions (ends_at);

-- Whoever stops an app stops its codes on the way too.
ALTER TABLE codes ADD COLUMN person TEXT;
ALTER TABLE codes ADD COLUMN client TEXT;
CREATE INDEX codes_by_person ON codes (person, client);

-- What the person was told of the client when they allowed it. The redirect is from here on
-- the whole address without the port of a loopback one; an older row is its host, is like no
-- address, and so asks again.
ALTER TABLE consents ADD COLUMN described TEXT;

-- Whom the page named, and whether it was left out.
ALTER TABLE logins ADD COLUMN named TEXT;
ALTER TABLE logins ADD COLUMN left_out BIGINT NOT NULL DEFAULT 0;
