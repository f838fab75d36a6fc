-- What a consent page showed of the client, and the session of the browser that allowed it,
-- which ends with the login.
ALTER TABLE logins ADD COLUMN described TEXT;
ALTER TABLE logins ADD COLUMN session TEXT;

-- What an operator vouched for: the client as it described itself then.
ALTER TABLE clients ADD COLUMN trusted_described TEXT;

-- Whoever ends a client looks for all of it.
CREATE INDEX consents_by_client ON consents (client);
CREATE INDEX codes_by_client ON codes (client);

-- Acts are few among many calls.
ALTER TABLE audit ADD COLUMN kind TEXT NOT NULL DEFAULT '';
DROP TRIGGER audit_is_not_changed;
UPDATE audit SET kind = json_extract(record, '$.kind');
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is not changed');
END;
CREATE INDEX audit_by_kind ON audit (kind, id);
