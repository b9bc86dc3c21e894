-- When the services were last told to do what is due.
-- Statements are separated by empty lines, and each can be repeated.

-- In milliseconds since 1970.
CREATE TABLE IF NOT EXISTS ticks (
    id INTEGER PRIMARY KEY CONSTRAINT one_tick CHECK (id = 1),
    at INTEGER NOT NULL
);

INSERT OR IGNORE INTO ticks (id, at) VALUES (1, 0);
