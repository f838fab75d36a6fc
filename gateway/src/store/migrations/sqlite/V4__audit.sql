-- What happened, in the order of writing. A row is a page of calls, some steps of logins, or
-- an act.
CREATE TABLE audit (
    id       INTEGER PRIMARY KEY,
    from_at  BIGINT NOT NULL,
    until_at BIGINT NOT NULL,
    record   TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit (until_at);

-- Forgotten in time, and never changed.
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is not changed');
END;
