-- What orders tells the others, and what it learns of payments.
-- Statements are separated by empty lines, and each can be repeated.

CREATE TRIGGER IF NOT EXISTS tell_of_new_orders AFTER INSERT ON orders BEGIN
    INSERT INTO outbox (type, subject, data) VALUES ('order.placed', new.id, json_object(
        'order_id', new.id, 'user_id', new.user_id, 'items', json(new.items),
        'total', json(iif(new.total_amount IS NULL, NULL,
            json_object('amount', new.total_amount, 'currency', new.currency)))));
END;

CREATE TRIGGER IF NOT EXISTS tell_of_confirmed_orders AFTER UPDATE OF status ON orders
WHEN new.status = 'confirmed' AND old.status <> 'confirmed' BEGIN
    INSERT INTO outbox (type, subject, data) VALUES ('order.confirmed', new.id, json_object(
        'order_id', new.id, 'user_id', new.user_id, 'items', json(new.items),
        'total', json_object('amount', new.total_amount, 'currency', new.currency),
        'from_cart', json(iif(new.cart_version IS NULL, 'false', 'true'))));
END;

CREATE TRIGGER IF NOT EXISTS tell_of_rejected_orders AFTER UPDATE OF status ON orders
WHEN new.status = 'rejected' AND old.status <> 'rejected' BEGIN
    INSERT INTO outbox (type, subject, data) VALUES ('order.rejected', new.id, json_object(
        'order_id', new.id, 'user_id', new.user_id, 'items', json(new.items),
        'total', json(iif(new.total_amount IS NULL, NULL,
            json_object('amount', new.total_amount, 'currency', new.currency))),
        'reason', new.reason));
END;

CREATE TRIGGER IF NOT EXISTS tell_of_cancelled_orders AFTER UPDATE OF status ON orders
WHEN new.status = 'cancelled' AND old.status <> 'cancelled' BEGIN
    INSERT INTO outbox (type, subject, data) VALUES ('order.cancelled', new.id, json_object(
        'order_id', new.id, 'user_id', new.user_id, 'items', json(new.items),
        'total', json(iif(new.total_amount IS NULL, NULL,
            json_object('amount', new.total_amount, 'currency', new.currency))),
        'reason', new.reason, 'was_confirmed', json(iif(old.status = 'confirmed', 'true', 'false'))));
END;

CREATE TRIGGER IF NOT EXISTS tell_of_shipped_orders AFTER UPDATE OF status ON orders
WHEN new.status = 'shipped' AND old.status <> 'shipped' BEGIN
    INSERT INTO outbox (type, subject, data) VALUES ('order.shipped', new.id, json_object(
        'order_id', new.id, 'user_id', new.user_id, 'items', json(new.items),
        'total', json_object('amount', new.total_amount, 'currency', new.currency),
        'carrier', new.carrier, 'tracking', new.tracking));
END;

CREATE TRIGGER IF NOT EXISTS tell_of_delivered_orders AFTER UPDATE OF status ON orders
WHEN new.status = 'delivered' AND old.status <> 'delivered' BEGIN
    INSERT INTO outbox (type, subject, data) VALUES ('order.delivered', new.id, json_object(
        'order_id', new.id, 'user_id', new.user_id, 'items', json(new.items),
        'total', json_object('amount', new.total_amount, 'currency', new.currency)));
END;

-- How much of the payment was given back, in minor units.
ALTER TABLE orders ADD COLUMN refunded INTEGER NOT NULL DEFAULT 0;
