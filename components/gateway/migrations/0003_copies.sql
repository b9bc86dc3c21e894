-- The last good copies of what anybody may see of the catalogue, to show while products does not answer. All of it can be lost.
-- Statements are separated by empty lines, and each can be repeated.

CREATE TABLE IF NOT EXISTS copies (
    -- Path and query.
    path         TEXT PRIMARY KEY,
    content_type TEXT NOT NULL,
    body         TEXT NOT NULL,
    -- When it was made, in milliseconds since 1970.
    made_at      INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS copies_by_age ON copies (made_at);
