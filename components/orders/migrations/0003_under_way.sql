-- Sagas that somebody drives, to be counted.
CREATE INDEX IF NOT EXISTS orders_under_way ON orders (due_at) WHERE lease IS NOT NULL;
