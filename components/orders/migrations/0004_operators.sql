-- What operators look for.
-- Statements are separated by empty lines, and each can be repeated.

-- The request that placed the order: under its id there are its trace and its log.
ALTER TABLE orders ADD COLUMN request_id TEXT;

-- People call an order by the end of its id.
CREATE INDEX IF NOT EXISTS orders_by_number ON orders (substr(id, 25));
