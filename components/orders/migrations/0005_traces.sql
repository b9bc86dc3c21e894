-- The trace of the request that placed the order, in the form of the header `traceparent`.
ALTER TABLE orders ADD COLUMN traceparent TEXT;
