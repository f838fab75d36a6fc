-- Accounts of people at services behind MCP servers, with the services' tokens, sealed.
CREATE TABLE connections (
    person       TEXT NOT NULL,
    server       TEXT NOT NULL,
    sealed       BLOB,
    since        BIGINT NOT NULL,
    asking_until BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (person, server)
);
