-- How much is being worked on, and how much may be. All of it can be lost.
-- Statements are separated by empty lines, and each can be repeated.

-- Of each instance of the gateway, as of a moment in milliseconds since 1970. A row that is older than a second is of one that has gone.
CREATE TABLE IF NOT EXISTS running (
    instance TEXT PRIMARY KEY,
    count    INTEGER NOT NULL,
    at       INTEGER NOT NULL
) WITHOUT ROWID;

-- The limit of all of them together, and when it last changed, in milliseconds since 1970.
CREATE TABLE IF NOT EXISTS load_limit (
    id   INTEGER PRIMARY KEY CONSTRAINT one_limit CHECK (id = 1),
    size REAL NOT NULL,
    at   INTEGER NOT NULL
);

INSERT OR IGNORE INTO load_limit (id, size, at) VALUES (1, 512, 0);
