-- The outbox: events that the triggers of the service have written beside the changes they tell of.
-- Statements are separated by empty lines, and each can be repeated.

-- The attributes of CloudEvents; the envelope is put together when it is read. `position` is the order in which the changes were
-- committed, since there is one writer at a time. `version` is that of the schema that `data` keeps to.
CREATE TABLE IF NOT EXISTS outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL DEFAULT (
        substr(printf('%012x', CAST(unixepoch('subsec') * 1000 AS INTEGER)), 1, 8) || '-'
        || substr(printf('%012x', CAST(unixepoch('subsec') * 1000 AS INTEGER)), 9, 4) || '-7'
        || substr(lower(hex(randomblob(2))), 2) || '-'
        || substr('89ab', 1 + (random() & 3), 1) || substr(lower(hex(randomblob(2))), 2) || '-'
        || lower(hex(randomblob(6)))
    ),
    type     TEXT NOT NULL,
    version  INTEGER NOT NULL DEFAULT 1,
    subject  TEXT NOT NULL,
    time     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    data     TEXT NOT NULL CONSTRAINT event_data_is_an_object CHECK (json_type(data) = 'object')
);

CREATE TRIGGER IF NOT EXISTS events_are_not_changed BEFORE UPDATE ON outbox BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: events_are_not_changed');
END;

-- How far the outbox is published: everything up to the position `published` is with the broker. Events are published in their
-- order, so that is all there is to remember. `due_at` says (in milliseconds since 1970) from when anybody may publish: while
-- somebody does, that is when their lease ends; after failures, when the next attempt is due.
CREATE TABLE IF NOT EXISTS outbox_progress (
    only      INTEGER PRIMARY KEY CONSTRAINT one_row CHECK (only = 1),
    published INTEGER NOT NULL DEFAULT 0,
    due_at    INTEGER NOT NULL DEFAULT 0,
    failures  INTEGER NOT NULL DEFAULT 0
);

INSERT OR IGNORE INTO outbox_progress (only) VALUES (1);

-- An event that is not published stays, whoever deletes.
CREATE TRIGGER IF NOT EXISTS unpublished_events_stay BEFORE DELETE ON outbox
WHEN old.position > (SELECT published FROM outbox_progress) BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: unpublished_events_stay');
END;

-- The last ten thousand that are published stay, for whoever wants to look.
CREATE TRIGGER IF NOT EXISTS published_events_are_pruned AFTER UPDATE OF published ON outbox_progress BEGIN
    DELETE FROM outbox WHERE position <= new.published - 10000;
END;
