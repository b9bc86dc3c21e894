-- Tokens of cards, payments, what is asked of the provider for them, and their history.
-- Statements are separated by empty lines, and each can be repeated.

-- All that is ever kept of a card.
CREATE TABLE IF NOT EXISTS card_tokens (
    token      TEXT PRIMARY KEY,
    brand      TEXT NOT NULL,
    last4      TEXT NOT NULL CONSTRAINT last_four CHECK (length(last4) = 4),
    exp_month  INTEGER NOT NULL,
    exp_year   INTEGER NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    -- Whether a payment was made with it.
    used       INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS card_tokens_unused ON card_tokens (created_at) WHERE used = 0;

-- One payment an order. Without a token it is a tombstone: the order's payment was voided before it was asked for.
CREATE TABLE IF NOT EXISTS payments (
    id              TEXT PRIMARY KEY,
    order_id        TEXT NOT NULL UNIQUE,
    user_id         TEXT,
    token           TEXT REFERENCES card_tokens (token),
    amount          INTEGER NOT NULL CONSTRAINT amount_not_negative CHECK (amount >= 0),
    currency        TEXT NOT NULL,
    captured        INTEGER NOT NULL DEFAULT 0 CONSTRAINT captured_was_authorized CHECK (captured BETWEEN 0 AND amount),
    refunded        INTEGER NOT NULL DEFAULT 0,
    -- The sum of the refunds that are not decided yet.
    refunding       INTEGER NOT NULL DEFAULT 0,
    status          TEXT NOT NULL,
    -- The provider's name for the money that is held.
    hold            TEXT,
    decline_code    TEXT,
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    updated_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    CONSTRAINT refunded_was_captured CHECK (refunded >= 0 AND refunding >= 0 AND refunded + refunding <= captured),
    CONSTRAINT voided_is_not_captured CHECK (status NOT IN ('voiding', 'voided') OR captured = 0),
    CONSTRAINT tombstone_is_voided CHECK (token IS NOT NULL OR status = 'voided')
);

-- For the reference above, when a token is deleted.
CREATE INDEX IF NOT EXISTS payments_by_token ON payments (token);

-- What is asked of the provider. `status` is `asked` from before the provider is asked until it is decided: whoever finds it
-- so, and without a lease, has to find out what became of it. It is `ready` where the provider certainly did nothing under this
-- attempt's key, so it can be asked under it. Each time somebody takes it, `turn` counts up.
CREATE TABLE IF NOT EXISTS operations (
    number       INTEGER PRIMARY KEY,
    key          TEXT NOT NULL UNIQUE,
    payment_id   TEXT NOT NULL REFERENCES payments (id),
    kind         TEXT NOT NULL CONSTRAINT operation_kind CHECK (kind IN ('authorize', 'capture', 'void', 'refund')),
    -- The caller's own key for a refund, of which there can be several.
    request_key  TEXT,
    amount       INTEGER NOT NULL CONSTRAINT operation_amount CHECK (amount >= 0),
    status       TEXT NOT NULL,
    attempt      INTEGER NOT NULL DEFAULT 1,
    turn         INTEGER NOT NULL DEFAULT 1,
    -- Milliseconds since 1970: until when somebody is at it, and when it is due again.
    lease_until  INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    failures     INTEGER NOT NULL DEFAULT 0,
    was_unknown  INTEGER NOT NULL DEFAULT 0,
    reference    TEXT,
    decline_code TEXT,
    detail       TEXT,
    UNIQUE (payment_id, request_key)
);

-- Nothing is authorized, captured or voided twice.
CREATE UNIQUE INDEX IF NOT EXISTS operations_once ON operations (payment_id, kind) WHERE kind <> 'refund';

CREATE INDEX IF NOT EXISTS operations_undecided ON operations (payment_id) WHERE status IN ('asked', 'ready');

CREATE INDEX IF NOT EXISTS operations_due ON operations (due_at) WHERE status IN ('asked', 'ready');

-- The history, which only grows. Its ids are UUIDs of version 7.
CREATE TABLE IF NOT EXISTS transactions (
    number             INTEGER PRIMARY KEY,
    id                 TEXT NOT NULL UNIQUE DEFAULT (
        substr(printf('%012x', CAST(unixepoch('subsec') * 1000 AS INTEGER)), 1, 8) || '-'
        || substr(printf('%012x', CAST(unixepoch('subsec') * 1000 AS INTEGER)), 9, 4) || '-7'
        || substr(lower(hex(randomblob(2))), 2) || '-'
        || substr('89ab', 1 + (random() & 3), 1) || substr(lower(hex(randomblob(2))), 2) || '-'
        || lower(hex(randomblob(6)))
    ),
    payment_id         TEXT NOT NULL REFERENCES payments (id),
    kind               TEXT NOT NULL,
    amount             INTEGER NOT NULL,
    status             TEXT NOT NULL,
    provider_reference TEXT,
    decline_code       TEXT,
    detail             TEXT,
    created_at         TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
);

CREATE INDEX IF NOT EXISTS transactions_by_payment ON transactions (payment_id);

CREATE TRIGGER IF NOT EXISTS transactions_stay BEFORE UPDATE ON transactions BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: transactions_stay');
END;

CREATE TRIGGER IF NOT EXISTS transactions_are_kept BEFORE DELETE ON transactions BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: transactions_stay');
END;

-- Which status can follow which.

CREATE TRIGGER IF NOT EXISTS payment_begins BEFORE INSERT ON payments
WHEN new.status NOT IN ('authorizing', 'voided') OR new.captured <> 0 BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: payment_transition');
END;

CREATE TRIGGER IF NOT EXISTS payment_goes_on BEFORE UPDATE OF status ON payments
WHEN new.status <> old.status AND old.status || '>' || new.status NOT IN (
    'authorizing>authorized', 'authorizing>declined', 'authorizing>voiding',
    'authorized>capturing', 'authorized>voiding', 'capturing>captured', 'capturing>capture_failed',
    'capture_failed>voiding', 'voiding>voided', 'captured>refunding', 'partially_refunded>refunding',
    'refunding>captured', 'refunding>partially_refunded', 'refunding>refunded'
) BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: payment_transition');
END;

CREATE TRIGGER IF NOT EXISTS payment_stays BEFORE UPDATE OF id, order_id, user_id, token, amount, currency ON payments
WHEN (new.id, new.order_id, new.user_id, new.token, new.amount, new.currency)
    IS NOT (old.id, old.order_id, old.user_id, old.token, old.amount, old.currency) BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: payment_stays');
END;

CREATE TRIGGER IF NOT EXISTS operation_goes_on BEFORE UPDATE OF status ON operations
WHEN new.status <> old.status AND old.status || '>' || new.status NOT IN (
    'ready>asked', 'ready>cancelled', 'asked>ready', 'asked>cancelled', 'asked>succeeded', 'asked>declined'
) BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: operation_transition');
END;

-- From what is wanted of a payment to what is asked for it. What begins as `asked` is leased, for 20 seconds, to whoever
-- made the statement; the same number is in store.rs.

CREATE TRIGGER IF NOT EXISTS authorization_begins AFTER INSERT ON payments WHEN new.status = 'authorizing' BEGIN
    UPDATE card_tokens SET used = 1 WHERE token = new.token AND used = 0;
    INSERT INTO operations (key, payment_id, kind, amount, status, lease_until, due_at)
    VALUES (new.id || '-authorize', new.id, 'authorize', new.amount, 'asked',
        CAST(unixepoch('subsec') * 1000 AS INTEGER) + 20000, CAST(unixepoch('subsec') * 1000 AS INTEGER) + 20000);
END;

CREATE TRIGGER IF NOT EXISTS capture_begins AFTER UPDATE OF status ON payments
WHEN new.status = 'capturing' AND old.status = 'authorized' BEGIN
    INSERT INTO operations (key, payment_id, kind, amount, status, lease_until, due_at)
    VALUES (new.id || '-capture', new.id, 'capture', new.amount, 'asked',
        CAST(unixepoch('subsec') * 1000 AS INTEGER) + 20000, CAST(unixepoch('subsec') * 1000 AS INTEGER) + 20000);
END;

CREATE TRIGGER IF NOT EXISTS void_begins AFTER UPDATE OF status ON payments
WHEN new.status = 'voiding' AND old.status IN ('authorized', 'capture_failed') BEGIN
    INSERT INTO operations (key, payment_id, kind, amount, status, lease_until, due_at)
    VALUES (new.id || '-void', new.id, 'void', new.amount, 'ready', 0, 0);
END;

-- An authorization that was certainly not carried out is given up; one that may have been is found out about first.
CREATE TRIGGER IF NOT EXISTS authorization_is_given_up AFTER UPDATE OF status ON payments
WHEN new.status = 'voiding' AND old.status = 'authorizing' BEGIN
    UPDATE operations SET status = 'cancelled' WHERE payment_id = new.id AND kind = 'authorize' AND status = 'ready';
END;

CREATE TRIGGER IF NOT EXISTS refund_begins AFTER INSERT ON operations WHEN new.kind = 'refund' BEGIN
    UPDATE payments SET status = 'refunding', refunding = refunding + new.amount,
        updated_at = strftime('%Y-%m-%dT%H:%M:%fZ')
    WHERE id = new.payment_id;
END;

-- From what became of an operation to what becomes of its payment.

CREATE TRIGGER IF NOT EXISTS authorization_ends AFTER UPDATE OF status ON operations
WHEN new.kind = 'authorize' AND new.status IN ('succeeded', 'declined', 'cancelled') BEGIN
    UPDATE payments SET hold = new.reference, decline_code = new.decline_code,
        status = CASE
            WHEN status = 'authorizing' AND new.status = 'succeeded' THEN 'authorized'
            WHEN status = 'authorizing' AND new.status = 'declined' THEN 'declined'
            WHEN status = 'voiding' AND new.status = 'succeeded' THEN 'voiding'
            ELSE 'voided'
        END,
        updated_at = strftime('%Y-%m-%dT%H:%M:%fZ')
    WHERE id = new.payment_id;
    INSERT INTO operations (key, payment_id, kind, amount, status, lease_until, due_at)
    SELECT id || '-void', id, 'void', amount, 'ready', 0, 0 FROM payments
    WHERE id = new.payment_id AND status = 'voiding';
END;

CREATE TRIGGER IF NOT EXISTS capture_ends AFTER UPDATE OF status ON operations
WHEN new.kind = 'capture' AND new.status IN ('succeeded', 'declined') BEGIN
    UPDATE payments SET decline_code = new.decline_code,
        captured = iif(new.status = 'succeeded', new.amount, 0),
        status = iif(new.status = 'succeeded', 'captured', 'capture_failed'),
        updated_at = strftime('%Y-%m-%dT%H:%M:%fZ')
    WHERE id = new.payment_id;
END;

CREATE TRIGGER IF NOT EXISTS void_ends AFTER UPDATE OF status ON operations
WHEN new.kind = 'void' AND new.status = 'succeeded' BEGIN
    UPDATE payments SET status = 'voided', updated_at = strftime('%Y-%m-%dT%H:%M:%fZ') WHERE id = new.payment_id;
END;

CREATE TRIGGER IF NOT EXISTS refund_ends AFTER UPDATE OF status ON operations
WHEN new.kind = 'refund' AND new.status IN ('succeeded', 'declined') BEGIN
    UPDATE payments SET refunding = refunding - new.amount,
        refunded = refunded + iif(new.status = 'succeeded', new.amount, 0),
        status = CASE
            WHEN EXISTS (SELECT 1 FROM operations
                WHERE payment_id = new.payment_id AND kind = 'refund' AND status IN ('asked', 'ready')) THEN 'refunding'
            WHEN new.status = 'succeeded' AND refunded + new.amount = captured THEN 'refunded'
            WHEN new.status = 'succeeded' OR refunded > 0 THEN 'partially_refunded'
            ELSE 'captured'
        END,
        updated_at = strftime('%Y-%m-%dT%H:%M:%fZ')
    WHERE id = new.payment_id;
END;

CREATE TRIGGER IF NOT EXISTS outcome_is_remembered AFTER UPDATE OF status ON operations
WHEN new.status IN ('succeeded', 'declined', 'cancelled') BEGIN
    INSERT INTO transactions (payment_id, kind, amount, status, provider_reference, decline_code, detail)
    VALUES (new.payment_id, new.kind, new.amount, new.status, new.reference, new.decline_code, new.detail);
END;

CREATE TRIGGER IF NOT EXISTS uncertainty_is_remembered AFTER UPDATE OF was_unknown ON operations
WHEN new.was_unknown > old.was_unknown BEGIN
    INSERT INTO transactions (payment_id, kind, amount, status) VALUES (new.payment_id, new.kind, new.amount, 'unknown');
END;
