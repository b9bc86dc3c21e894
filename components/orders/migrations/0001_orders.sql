-- Orders, their history and the log of the checkout saga.
-- Statements are separated by empty lines, and each can be repeated.

-- `id` is a UUIDv7, so it sorts by time of creation. Of the card there are the brand, the last four digits and, until the payment
-- is authorized, the token that payments gave for it.
-- `cart_version` says which version of the customer's cart was ordered, if that was.
-- `due_at` says (in milliseconds since 1970) from when anybody may take the saga up: while somebody has it, that is when their
-- `lease` ends; while it waits, when the next attempt is due. A finished saga has none.
-- `saga_events` is what the last change adds to the saga's log; a trigger moves it there.
CREATE TABLE IF NOT EXISTS orders (
    number           INTEGER PRIMARY KEY,
    id               TEXT NOT NULL UNIQUE,
    user_id          TEXT NOT NULL,
    idempotency_key  TEXT NOT NULL,
    request_hash     TEXT NOT NULL,
    status           TEXT NOT NULL DEFAULT 'pending' CONSTRAINT status_is_known CHECK (status IN
                         ('pending', 'reserved', 'confirmed', 'shipped', 'delivered', 'rejected', 'cancelled')),
    reason           TEXT,
    details          TEXT NOT NULL DEFAULT '{}' CONSTRAINT details_are_json CHECK (json_valid(details)),
    items            TEXT NOT NULL CONSTRAINT items_are_json CHECK (json_valid(items)),
    total_amount     INTEGER CONSTRAINT total_not_negative CHECK (total_amount >= 0),
    currency         TEXT,
    shipping_address TEXT NOT NULL CONSTRAINT address_is_json CHECK (json_valid(shipping_address)),
    card_brand       TEXT NOT NULL,
    card_last4       TEXT NOT NULL,
    payment_token    TEXT,
    cart_version     INTEGER,
    carrier          TEXT,
    tracking         TEXT,
    answer_status    INTEGER,
    created_at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    step             TEXT NOT NULL CONSTRAINT step_is_known CHECK (step IN
                         ('price', 'reserve', 'authorize', 'settle', 'undo_payment', 'undo_stock', 'done')),
    attempt          INTEGER NOT NULL DEFAULT 1,
    lease            TEXT,
    due_at           INTEGER,
    give_up_at       INTEGER NOT NULL,
    saga_events      TEXT NOT NULL CONSTRAINT events_are_json CHECK (json_valid(saga_events)),
    CONSTRAINT unfinished_sagas_are_due CHECK ((step = 'done') = (due_at IS NULL)),
    CONSTRAINT finished_sagas_end_orders CHECK (step <> 'done' OR status NOT IN ('pending', 'reserved')),
    CONSTRAINT ends_are_for_finished_sagas CHECK (step = 'done' OR status NOT IN ('shipped', 'delivered', 'rejected', 'cancelled')),
    CONSTRAINT ends_have_reasons CHECK (status NOT IN ('rejected', 'cancelled') OR reason IS NOT NULL),
    CONSTRAINT confirmed_orders_are_priced CHECK (status IN ('pending', 'rejected', 'cancelled') OR total_amount IS NOT NULL),
    CONSTRAINT totals_have_currencies CHECK ((total_amount IS NULL) = (currency IS NULL)),
    CONSTRAINT shipped_orders_are_tracked CHECK (status NOT IN ('shipped', 'delivered') OR tracking IS NOT NULL)
);

CREATE UNIQUE INDEX IF NOT EXISTS orders_by_key ON orders (user_id, idempotency_key);

-- A cart is ordered once at a time: two tabs are no two orders.
CREATE UNIQUE INDEX IF NOT EXISTS orders_by_cart ON orders (user_id, cart_version) WHERE step <> 'done';

CREATE INDEX IF NOT EXISTS orders_by_user ON orders (user_id, id);

CREATE INDEX IF NOT EXISTS orders_by_status ON orders (status, id);

CREATE INDEX IF NOT EXISTS orders_due ON orders (due_at) WHERE due_at IS NOT NULL;

CREATE TRIGGER IF NOT EXISTS orders_begin_pending BEFORE INSERT ON orders WHEN new.status <> 'pending' BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: legal_transition');
END;

-- One statement takes an order from reserved past authorized to confirmed; the history has both.
CREATE TRIGGER IF NOT EXISTS orders_keep_to_the_path BEFORE UPDATE OF status ON orders
WHEN new.status <> old.status AND old.status || '>' || new.status NOT IN (
    'pending>reserved', 'reserved>confirmed', 'confirmed>shipped', 'shipped>delivered',
    'pending>rejected', 'reserved>rejected', 'pending>cancelled', 'reserved>cancelled', 'confirmed>cancelled'
) BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: legal_transition');
END;

CREATE TRIGGER IF NOT EXISTS orders_keep_what_was_ordered BEFORE UPDATE ON orders
WHEN (new.id, new.user_id, new.idempotency_key, new.request_hash, new.created_at)
    IS NOT (old.id, old.user_id, old.idempotency_key, old.request_hash, old.created_at)
    OR new.shipping_address NOT IN (old.shipping_address, 'null')
    OR old.total_amount IS NOT NULL AND (new.items, new.total_amount, new.currency) IS NOT (old.items, old.total_amount, old.currency)
    OR old.answer_status IS NOT NULL AND new.answer_status IS NOT old.answer_status
BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: orders_are_kept');
END;

CREATE TRIGGER IF NOT EXISTS orders_stay BEFORE DELETE ON orders BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: orders_are_kept');
END;

-- Users whose accounts are deleted. Their orders stay without the address: at once, or when the order has come to its end.

CREATE TABLE IF NOT EXISTS erased_users (
    user_id TEXT PRIMARY KEY,
    at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
) WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS an_erased_user_leaves_no_address AFTER INSERT ON erased_users BEGIN
    UPDATE orders SET shipping_address = 'null'
    WHERE user_id = new.user_id AND status IN ('delivered', 'rejected', 'cancelled');
END;

CREATE TRIGGER IF NOT EXISTS an_end_leaves_no_address_of_erased_users AFTER UPDATE OF status ON orders
WHEN new.status IN ('delivered', 'rejected', 'cancelled') AND EXISTS (SELECT 1 FROM erased_users WHERE user_id = new.user_id)
BEGIN
    UPDATE orders SET shipping_address = 'null' WHERE id = new.id;
END;

-- The history of an order's status: written by triggers, so that no status changes without its entry, and never changed.

CREATE TABLE IF NOT EXISTS order_history (
    order_id TEXT NOT NULL REFERENCES orders (id),
    seq      INTEGER NOT NULL,
    status   TEXT NOT NULL,
    reason   TEXT,
    at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    PRIMARY KEY (order_id, seq)
) WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS history_is_not_changed BEFORE UPDATE ON order_history BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: history_is_append_only');
END;

CREATE TRIGGER IF NOT EXISTS history_is_not_deleted BEFORE DELETE ON order_history BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: history_is_append_only');
END;

CREATE TRIGGER IF NOT EXISTS first_status AFTER INSERT ON orders BEGIN
    INSERT INTO order_history (order_id, seq, status, at) VALUES (new.id, 1, new.status, new.created_at);
END;

CREATE TRIGGER IF NOT EXISTS next_status AFTER UPDATE OF status ON orders WHEN new.status <> old.status BEGIN
    INSERT INTO order_history (order_id, seq, status)
    SELECT new.id, (SELECT max(seq) FROM order_history WHERE order_id = new.id) + 1, 'authorized'
    WHERE new.status = 'confirmed';
    INSERT INTO order_history (order_id, seq, status, reason)
    SELECT new.id, max(seq) + 1, new.status, iif(new.status IN ('rejected', 'cancelled'), new.reason, NULL)
    FROM order_history WHERE order_id = new.id;
END;

-- The log of the saga: each step before it is taken, and what came of it. Also append-only.

CREATE TABLE IF NOT EXISTS saga_log (
    order_id TEXT NOT NULL REFERENCES orders (id),
    seq      INTEGER NOT NULL,
    step     TEXT NOT NULL CONSTRAINT log_step_is_known CHECK (step IN
                 ('price', 'reserve', 'authorize', 'confirm', 'capture', 'commit', 'undo_payment', 'undo_stock')),
    event    TEXT NOT NULL CONSTRAINT log_event_is_known CHECK (event IN
                 ('started', 'done', 'failed', 'compensating', 'compensated')),
    attempt  INTEGER NOT NULL,
    detail   TEXT,
    at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    PRIMARY KEY (order_id, seq)
) WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS saga_log_is_not_changed BEFORE UPDATE ON saga_log BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: saga_log_is_append_only');
END;

CREATE TRIGGER IF NOT EXISTS saga_log_is_not_deleted BEFORE DELETE ON saga_log BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: saga_log_is_append_only');
END;

CREATE TRIGGER IF NOT EXISTS first_saga_events AFTER INSERT ON orders BEGIN
    INSERT INTO saga_log (order_id, seq, step, event, attempt, detail)
    SELECT new.id, key + 1, value ->> 'step', value ->> 'event', new.attempt, value ->> 'detail'
    FROM json_each(new.saga_events);
END;

-- What begins belongs to the new attempt, what ends to the old one.
CREATE TRIGGER IF NOT EXISTS next_saga_events AFTER UPDATE OF saga_events ON orders BEGIN
    INSERT INTO saga_log (order_id, seq, step, event, attempt, detail)
    SELECT new.id, (SELECT ifnull(max(seq), 0) FROM saga_log WHERE order_id = new.id) + key + 1, value ->> 'step', value ->> 'event',
        iif(value ->> 'event' IN ('started', 'compensating'), new.attempt, old.attempt), value ->> 'detail'
    FROM json_each(new.saga_events);
END;
