-- What inventory tells the others: each entry of the ledger, and when there is little left of a product.
-- Statements are separated by empty lines, and each can be repeated.

CREATE TRIGGER IF NOT EXISTS tell_of_movements AFTER INSERT ON ledger BEGIN
    INSERT INTO outbox (type, subject, data) VALUES (
        CASE
            WHEN new.kind IN ('set', 'adjusted') THEN 'stock.adjusted'
            WHEN new.kind IN ('released', 'expired', 'returned') THEN 'stock.released'
            ELSE 'stock.' || new.kind
        END,
        new.product_id,
        json_object('product_id', new.product_id, 'movement', new.kind, 'on_hand', new.on_hand, 'reserved', new.reserved,
            'available', new.on_hand - new.reserved, 'on_hand_change', new.on_hand_change,
            'reserved_change', new.reserved_change, 'version', new.version, 'order_id', new.order_id, 'reason', new.reason));
    -- Little is fewer than five, and it is told once each time it comes to that.
    INSERT INTO outbox (type, subject, data)
    SELECT 'stock.low', new.product_id,
        json_object('product_id', new.product_id, 'available', new.on_hand - new.reserved, 'version', new.version)
    WHERE new.on_hand - new.reserved < 5
        AND new.on_hand - new.on_hand_change - (new.reserved - new.reserved_change) >= 5;
END;
