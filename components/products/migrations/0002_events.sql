-- What products tells the others, and what it learns of inventory.
-- Statements are separated by empty lines, and each can be repeated.

CREATE TRIGGER IF NOT EXISTS tell_of_new_products AFTER INSERT ON products BEGIN
    INSERT INTO outbox (type, subject, data) VALUES ('product.created', new.id, json_object(
        'product_id', new.id, 'sku', new.sku, 'name', new.name, 'category', new.category,
        'price', json_object('amount', new.price_amount, 'currency', new.price_currency), 'version', new.version));
END;

CREATE TRIGGER IF NOT EXISTS tell_of_changed_products AFTER UPDATE ON products
WHEN new.version <> old.version AND new.deleted_at IS NULL BEGIN
    INSERT INTO outbox (type, subject, data) VALUES ('product.updated', new.id, json_object(
        'product_id', new.id, 'sku', new.sku, 'name', new.name, 'category', new.category,
        'price', json_object('amount', new.price_amount, 'currency', new.price_currency), 'version', new.version));
    INSERT INTO outbox (type, subject, data)
    SELECT 'product.price-changed', new.id, json_object('product_id', new.id,
        'price', json_object('amount', new.price_amount, 'currency', new.price_currency),
        'old_price', json_object('amount', old.price_amount, 'currency', old.price_currency), 'version', new.version)
    WHERE (new.price_amount, new.price_currency) IS NOT (old.price_amount, old.price_currency);
END;

CREATE TRIGGER IF NOT EXISTS tell_of_deleted_products AFTER UPDATE OF deleted_at ON products
WHEN new.deleted_at IS NOT NULL AND old.deleted_at IS NULL BEGIN
    INSERT INTO outbox (type, subject, data)
    VALUES ('product.deleted', new.id, json_object('product_id', new.id, 'sku', new.sku, 'version', new.version));
END;

-- How many of each product can be ordered, as inventory has told: a copy for lists, which may be some moments old. `version` is the
-- movement of the stock that it is from, so that what arrives late changes nothing.
CREATE TABLE IF NOT EXISTS availability (
    product_id TEXT PRIMARY KEY,
    available  INTEGER NOT NULL,
    version    INTEGER NOT NULL
) WITHOUT ROWID;
