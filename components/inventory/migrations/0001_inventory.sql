-- Stock, reservations and the stock ledger.
-- Statements are separated by empty lines, and each can be repeated.

-- What there is of each product. Nothing is oversold because no row can say so: `never_oversold` holds whoever writes, and with
-- `reserved_not_negative` keeps `on_hand` from going below zero too. `version` counts the movements of a product; the `last_...`
-- columns say what the last one was for, and the trigger that keeps the ledger copies them.
CREATE TABLE IF NOT EXISTS stock (
    product_id    TEXT PRIMARY KEY,
    on_hand       INTEGER NOT NULL,
    reserved      INTEGER NOT NULL DEFAULT 0,
    version       INTEGER NOT NULL DEFAULT 1,
    updated_at    TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    last_kind     TEXT NOT NULL,
    last_order_id TEXT,
    last_reason   TEXT,
    last_key      TEXT,
    CONSTRAINT reserved_not_negative CHECK (reserved >= 0),
    CONSTRAINT never_oversold CHECK (reserved <= on_hand)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS stock_stays BEFORE DELETE ON stock BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: stock_stays');
END;

-- The ledger: every movement of every product, numbered without gaps, with the levels after it. Only the triggers on `stock`
-- write it, so no level changes without its entry; a change that does not count up `version` finds its number taken.
CREATE TABLE IF NOT EXISTS ledger (
    product_id      TEXT NOT NULL,
    version         INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    on_hand_change  INTEGER NOT NULL,
    reserved_change INTEGER NOT NULL,
    on_hand         INTEGER NOT NULL,
    reserved        INTEGER NOT NULL,
    order_id        TEXT,
    reason          TEXT,
    idempotency_key TEXT,
    at              TEXT NOT NULL,
    PRIMARY KEY (product_id, version)
) STRICT, WITHOUT ROWID;

-- A retried adjustment is known by its key.
CREATE UNIQUE INDEX IF NOT EXISTS ledger_by_key ON ledger (product_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TRIGGER IF NOT EXISTS first_movement AFTER INSERT ON stock BEGIN
    INSERT INTO ledger (product_id, version, kind, on_hand_change, reserved_change, on_hand, reserved, order_id, reason,
        idempotency_key, at)
    VALUES (new.product_id, new.version, new.last_kind, new.on_hand, new.reserved, new.on_hand, new.reserved,
        new.last_order_id, new.last_reason, new.last_key, new.updated_at);
END;

CREATE TRIGGER IF NOT EXISTS next_movement AFTER UPDATE OF on_hand, reserved ON stock BEGIN
    INSERT INTO ledger (product_id, version, kind, on_hand_change, reserved_change, on_hand, reserved, order_id, reason,
        idempotency_key, at)
    VALUES (new.product_id, new.version, new.last_kind, new.on_hand - old.on_hand, new.reserved - old.reserved, new.on_hand,
        new.reserved, new.last_order_id, new.last_reason, new.last_key, new.updated_at);
END;

-- An entry is written once, and only for the movement that the stock has just made. (That an entry is there already is asked
-- here too because INSERT OR REPLACE would delete it without firing the trigger on DELETE.)
CREATE TRIGGER IF NOT EXISTS ledger_tells_movements BEFORE INSERT ON ledger
WHEN EXISTS (SELECT 1 FROM ledger WHERE product_id = new.product_id AND version = new.version)
OR NOT EXISTS (
    SELECT 1 FROM stock
    WHERE product_id = new.product_id AND version = new.version AND on_hand = new.on_hand AND reserved = new.reserved
) BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: ledger_tells_movements');
END;

CREATE TRIGGER IF NOT EXISTS ledger_is_not_changed BEFORE UPDATE ON ledger BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: ledger_is_append_only');
END;

CREATE TRIGGER IF NOT EXISTS ledger_is_not_shortened BEFORE DELETE ON ledger BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: ledger_is_append_only');
END;

-- What orders hold. `lines` is `{"<product_id>": quantity, ...}` in the order of the ids, so the same lines are the same text.
-- A reservation that was released before it was made has no lines and stays as a tombstone.
CREATE TABLE IF NOT EXISTS reservations (
    order_id   TEXT PRIMARY KEY,
    state      TEXT NOT NULL DEFAULT 'open' CONSTRAINT state_is_known
               CHECK (state IN ('open', 'committed', 'released', 'expired')),
    lines      TEXT NOT NULL CONSTRAINT lines_are_json CHECK (json_valid(lines)),
    expires_at TEXT NOT NULL,
    version    INTEGER NOT NULL DEFAULT 1,
    CONSTRAINT begins_open_or_released CHECK (version > 1 OR state IN ('open', 'released'))
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS reservations_due ON reservations (expires_at) WHERE state = 'open';

-- A reservation moves the stock of all its lines, or the statement that makes it fails and moves nothing.
CREATE TRIGGER IF NOT EXISTS reservation_made AFTER INSERT ON reservations WHEN new.state = 'open' BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: quantity_is_positive')
    FROM json_each(new.lines) AS line WHERE line.type <> 'integer' OR line.value < 1;
    SELECT RAISE(ABORT, 'CHECK constraint failed: stock_is_kept')
    FROM json_each(new.lines) AS line WHERE NOT EXISTS (SELECT 1 FROM stock WHERE product_id = line.key);
    UPDATE stock SET
        reserved = reserved + line.value,
        version = version + 1,
        updated_at = strftime('%Y-%m-%dT%H:%M:%fZ'),
        last_kind = 'reserved', last_order_id = new.order_id, last_reason = NULL, last_key = NULL
    FROM json_each(new.lines) AS line WHERE product_id = line.key;
END;

-- An open reservation counts as reserved, a committed one is gone from what is on hand, and the others hold nothing: what a
-- change of state moves is the difference.
CREATE TRIGGER IF NOT EXISTS reservation_changed AFTER UPDATE OF state ON reservations
WHEN new.state <> old.state AND (new.state IN ('open', 'committed') OR old.state IN ('open', 'committed')) BEGIN
    UPDATE stock SET
        on_hand = on_hand - line.value * ((new.state = 'committed') - (old.state = 'committed')),
        reserved = reserved + line.value * ((new.state = 'open') - (old.state = 'open')),
        version = version + 1,
        updated_at = strftime('%Y-%m-%dT%H:%M:%fZ'),
        last_kind = CASE
            WHEN new.state = 'open' THEN 'reserved'
            WHEN old.state = 'committed' THEN 'returned'
            ELSE new.state END,
        last_order_id = new.order_id, last_reason = NULL, last_key = NULL
    FROM json_each(new.lines) AS line WHERE product_id = line.key;
END;

-- What was released stays so, what was committed can only be released, and the lines are what they were.
CREATE TRIGGER IF NOT EXISTS reservation_follows BEFORE UPDATE ON reservations
WHEN (old.state = 'released' AND new.state <> 'released')
OR (old.state = 'committed' AND new.state NOT IN ('committed', 'released'))
OR (new.order_id, new.lines) IS NOT (old.order_id, old.lines) BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: reservation_follows');
END;

CREATE TRIGGER IF NOT EXISTS reservation_stays BEFORE DELETE ON reservations BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: reservation_stays');
END;
