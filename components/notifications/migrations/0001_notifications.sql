-- Notifications, their ways out, and who has read them.
-- Statements are separated by empty lines, and each can be repeated.

-- Whose accounts are deleted: nothing about them is kept any more, whatever still comes.
CREATE TABLE IF NOT EXISTS erased_users (
    user_id TEXT PRIMARY KEY
) WITHOUT ROWID;

-- `cause` is what the notification tells of, so there is one for each however often it is told of. Without a `user_id` it is for
-- all administrators. `channels` are those that were on when it came: a JSON list, of which the trigger makes deliveries.
CREATE TABLE IF NOT EXISTS notifications (
    id         TEXT PRIMARY KEY,
    user_id    TEXT,
    kind       TEXT NOT NULL,
    cause      TEXT NOT NULL UNIQUE,
    order_id   TEXT,
    title      TEXT NOT NULL CONSTRAINT title_is_one_line CHECK (instr(title, char(10)) = 0 AND instr(title, char(13)) = 0),
    text       TEXT NOT NULL,
    html       TEXT NOT NULL,
    channels   TEXT NOT NULL CONSTRAINT channels_are_a_list CHECK (json_type(channels) = 'array'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    read_at    TEXT CONSTRAINT shared_ones_are_read_by_each CHECK (read_at IS NULL OR user_id IS NOT NULL)
);

CREATE INDEX IF NOT EXISTS notifications_by_user ON notifications (user_id, id);

CREATE INDEX IF NOT EXISTS notifications_unread ON notifications (user_id, id) WHERE read_at IS NULL;

CREATE INDEX IF NOT EXISTS notifications_by_order ON notifications (order_id, id) WHERE order_id IS NOT NULL;

CREATE TRIGGER IF NOT EXISTS notifications_are_of_accounts BEFORE INSERT ON notifications
WHEN EXISTS (SELECT 1 FROM erased_users WHERE user_id = new.user_id) BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: notifications_are_of_accounts');
END;

CREATE TRIGGER IF NOT EXISTS notifications_stay
BEFORE UPDATE OF id, user_id, kind, cause, order_id, title, text, html, channels, created_at ON notifications BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: notifications_stay');
END;

-- Which administrators have read what is for all of them.
CREATE TABLE IF NOT EXISTS notification_reads (
    notification_id TEXT NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL,
    read_at         TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    PRIMARY KEY (notification_id, user_id)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS notification_reads_by_user ON notification_reads (user_id);

-- The ways a notification goes out. `due_at` says (in milliseconds since 1970) from when anybody may send a pending one: while
-- somebody does, that is when their lease ends; after failures, when the next attempt is due. Its id is a UUID of version 7, and
-- the idempotency key under which it is sent, however often.
CREATE TABLE IF NOT EXISTS deliveries (
    id              TEXT PRIMARY KEY DEFAULT (
        substr(printf('%012x', CAST(unixepoch('subsec') * 1000 AS INTEGER)), 1, 8) || '-'
        || substr(printf('%012x', CAST(unixepoch('subsec') * 1000 AS INTEGER)), 9, 4) || '-7'
        || substr(lower(hex(randomblob(2))), 2) || '-'
        || substr('89ab', 1 + (random() & 3), 1) || substr(lower(hex(randomblob(2))), 2) || '-'
        || lower(hex(randomblob(6)))
    ),
    notification_id TEXT NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    channel         TEXT NOT NULL CONSTRAINT channel_is_known CHECK (channel IN ('inbox', 'email', 'webhook')),
    status          TEXT NOT NULL CONSTRAINT delivery_status CHECK (status IN ('pending', 'sent', 'parked')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    due_at          INTEGER NOT NULL DEFAULT 0,
    last_error      TEXT,
    updated_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    CONSTRAINT parked_for_a_reason CHECK (status <> 'parked' OR last_error IS NOT NULL),
    UNIQUE (notification_id, channel)
);

CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (channel, due_at) WHERE status = 'pending';

CREATE INDEX IF NOT EXISTS deliveries_by_status ON deliveries (status, id);

CREATE TRIGGER IF NOT EXISTS delivery_goes_on BEFORE UPDATE OF status ON deliveries
WHEN new.status <> old.status AND old.status || '>' || new.status NOT IN (
    'pending>sent', 'pending>parked', 'parked>pending'
) BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: delivery_transition');
END;

-- To be there is all it takes to be in the inbox.
CREATE TRIGGER IF NOT EXISTS a_notification_goes_out AFTER INSERT ON notifications BEGIN
    INSERT INTO deliveries (notification_id, channel, status)
    SELECT new.id, channel.value, iif(channel.value = 'inbox', 'sent', 'pending') FROM json_each(new.channels) AS channel;
END;

CREATE TRIGGER IF NOT EXISTS an_erased_user_leaves_nothing AFTER INSERT ON erased_users BEGIN
    DELETE FROM notifications WHERE user_id = new.user_id;
    DELETE FROM notification_reads WHERE user_id = new.user_id;
END;

-- What notifications tells the others.

CREATE TRIGGER IF NOT EXISTS tell_what_is_sent_at_once AFTER INSERT ON deliveries WHEN new.status = 'sent' BEGIN
    INSERT INTO outbox (type, subject, data)
    SELECT 'notification.sent', id, json_object('notification_id', id, 'user_id', user_id, 'kind', kind, 'channel', new.channel)
    FROM notifications WHERE id = new.notification_id;
END;

CREATE TRIGGER IF NOT EXISTS tell_what_is_sent AFTER UPDATE OF status ON deliveries
WHEN new.status = 'sent' AND old.status <> 'sent' BEGIN
    INSERT INTO outbox (type, subject, data)
    SELECT 'notification.sent', id, json_object('notification_id', id, 'user_id', user_id, 'kind', kind, 'channel', new.channel)
    FROM notifications WHERE id = new.notification_id;
END;

CREATE TRIGGER IF NOT EXISTS tell_what_is_parked AFTER UPDATE OF status ON deliveries
WHEN new.status = 'parked' AND old.status <> 'parked' BEGIN
    INSERT INTO outbox (type, subject, data)
    SELECT 'notification.failed', id, json_object('notification_id', id, 'user_id', user_id, 'kind', kind,
        'channel', new.channel, 'reason', new.last_error)
    FROM notifications WHERE id = new.notification_id;
END;
