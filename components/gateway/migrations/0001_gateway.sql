-- What the gateway keeps: how far each caller has used up a limit, and the keys that access tokens are verified with.
-- All of it can be lost. Statements are separated by empty lines, and each can be repeated.

-- A row that lies in the past says what no row would say, and may be deleted.
CREATE TABLE IF NOT EXISTS limits (
    key     TEXT PRIMARY KEY,
    -- GCRA's theoretical arrival time, in microseconds since 1970: when the caller will have the whole limit again.
    tat     INTEGER NOT NULL,
    -- When the last request was counted: requests reach the database in another order than they were timed.
    counted INTEGER NOT NULL
) WITHOUT ROWID;

-- The one key set of the service users, and when it was asked for, in seconds since 1970.
CREATE TABLE IF NOT EXISTS key_sets (
    id            INTEGER PRIMARY KEY CONSTRAINT one_key_set CHECK (id = 1),
    document      TEXT NOT NULL,
    fetched_at    INTEGER NOT NULL,
    attempted_at  INTEGER NOT NULL
);
