-- The log of events, how far each consumer has come in it, and what is held back for a consumer.
-- Statements are separated by empty lines, and each can be repeated.

-- Only ever appended to, until what is old is pruned. `event` is the whole envelope; the columns beside it are for finding it.
CREATE TABLE IF NOT EXISTS log (
    position    INTEGER PRIMARY KEY AUTOINCREMENT,
    source      TEXT NOT NULL,
    id          TEXT NOT NULL,
    type        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    appended_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    event       TEXT NOT NULL CONSTRAINT event_is_json CHECK (json_valid(event))
);

-- The same event is taken once.
CREATE UNIQUE INDEX IF NOT EXISTS log_by_event ON log (source, id);

CREATE INDEX IF NOT EXISTS log_by_type ON log (type, position);

CREATE INDEX IF NOT EXISTS log_by_subject ON log (subject, position);

CREATE TRIGGER IF NOT EXISTS log_is_not_changed BEFORE UPDATE ON log BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: log_is_append_only');
END;

-- `position` is how far a consumer has come: everything up to it was delivered, or is held back. Whoever delivers holds the `lease`
-- until `due_at` (in milliseconds since 1970); after failures that is when the next attempt is due. `changes` is what the last round of
-- deliveries adds to and takes from what is held back; a trigger carries it over.
CREATE TABLE IF NOT EXISTS subscriptions (
    consumer   TEXT PRIMARY KEY,
    position   INTEGER NOT NULL,
    lease      TEXT,
    due_at     INTEGER NOT NULL DEFAULT 0,
    failures   INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    changes    TEXT NOT NULL DEFAULT '{}' CONSTRAINT changes_are_json CHECK (json_valid(changes))
) WITHOUT ROWID;

-- Events that a consumer did not take: the first of a subject is `retrying`, those that came after it are `waiting`, so that their
-- order stays. What was tried too often is a `dead` letter; it holds up nobody.
CREATE TABLE IF NOT EXISTS held (
    consumer TEXT NOT NULL REFERENCES subscriptions (consumer),
    position INTEGER NOT NULL REFERENCES log (position),
    source   TEXT NOT NULL,
    subject  TEXT NOT NULL,
    state    TEXT NOT NULL CONSTRAINT held_state_is_known CHECK (state IN ('retrying', 'waiting', 'dead')),
    attempts INTEGER NOT NULL,
    due_at   INTEGER NOT NULL,
    reason   TEXT,
    since    INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    PRIMARY KEY (consumer, position)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS held_due ON held (consumer, due_at) WHERE state = 'retrying';

CREATE INDEX IF NOT EXISTS held_by_subject ON held (consumer, source, subject, position) WHERE state <> 'dead';

-- For the reference above, when the log is pruned.
CREATE INDEX IF NOT EXISTS held_by_position ON held (position);

CREATE TRIGGER IF NOT EXISTS what_was_delivered_is_held_no_longer AFTER UPDATE OF changes ON subscriptions
WHEN new.changes <> '{}' BEGIN
    DELETE FROM held
    WHERE consumer = new.consumer AND position IN (SELECT value FROM json_each(new.changes, '$.done'));
    INSERT INTO held (consumer, position, source, subject, state, attempts, due_at, reason)
    SELECT new.consumer, log.position, log.source, log.subject, hold.value ->> 'state', hold.value ->> 'attempts',
        hold.value ->> 'due_at', hold.value ->> 'reason'
    FROM json_each(new.changes, '$.hold') AS hold JOIN log ON log.position = hold.value ->> 'position'
    WHERE TRUE
    ON CONFLICT (consumer, position) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
        due_at = excluded.due_at, reason = excluded.reason;
    UPDATE held SET state = 'retrying', due_at = 0
    WHERE consumer = new.consumer AND state = 'waiting' AND NOT EXISTS (
        SELECT 1 FROM held AS earlier
        WHERE earlier.consumer = held.consumer AND earlier.source = held.source AND earlier.subject = held.subject
            AND earlier.state <> 'dead' AND earlier.position < held.position
    );
END;
