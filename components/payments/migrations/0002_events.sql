-- What payments tells the others: what became of the money. Tombstones, where there never was any, are not told of.
-- Statements are separated by empty lines, and each can be repeated.

CREATE TRIGGER IF NOT EXISTS tell_of_decisions AFTER UPDATE OF status ON payments
WHEN new.status IN ('authorized', 'declined', 'voided') AND new.status <> old.status BEGIN
    INSERT INTO outbox (type, subject, data)
    SELECT 'payment.' || new.status, new.id, json_object('payment_id', new.id, 'order_id', new.order_id, 'user_id', new.user_id,
        'amount', json_object('amount', new.amount, 'currency', new.currency),
        'card', json_object('brand', card_tokens.brand, 'last4', card_tokens.last4))
    FROM card_tokens WHERE token = new.token AND new.status <> 'declined';
    INSERT INTO outbox (type, subject, data)
    SELECT 'payment.declined', new.id, json_object('payment_id', new.id, 'order_id', new.order_id, 'user_id', new.user_id,
        'amount', json_object('amount', new.amount, 'currency', new.currency),
        'card', json_object('brand', card_tokens.brand, 'last4', card_tokens.last4), 'decline_code', new.decline_code)
    FROM card_tokens WHERE token = new.token AND new.status = 'declined';
END;

CREATE TRIGGER IF NOT EXISTS tell_of_captures AFTER UPDATE OF captured ON payments
WHEN new.captured > 0 AND old.captured = 0 BEGIN
    INSERT INTO outbox (type, subject, data)
    SELECT 'payment.captured', new.id, json_object('payment_id', new.id, 'order_id', new.order_id, 'user_id', new.user_id,
        'amount', json_object('amount', new.captured, 'currency', new.currency),
        'card', json_object('brand', card_tokens.brand, 'last4', card_tokens.last4))
    FROM card_tokens WHERE token = new.token;
END;

CREATE TRIGGER IF NOT EXISTS tell_of_refunds AFTER UPDATE OF refunded ON payments WHEN new.refunded > old.refunded BEGIN
    INSERT INTO outbox (type, subject, data)
    SELECT 'payment.refunded', new.id, json_object('payment_id', new.id, 'order_id', new.order_id, 'user_id', new.user_id,
        'amount', json_object('amount', new.captured, 'currency', new.currency),
        'card', json_object('brand', card_tokens.brand, 'last4', card_tokens.last4),
        'refunded', json_object('amount', new.refunded - old.refunded, 'currency', new.currency),
        'refunded_in_all', json_object('amount', new.refunded, 'currency', new.currency))
    FROM card_tokens WHERE token = new.token;
END;
