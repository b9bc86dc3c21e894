-- The metrics that others export, with all that Prometheus is shown of them. Statements are separated by empty lines, and each can be
-- repeated.

-- The newest point of each series; `before_at` is when the one before it was received, `start_ns` since when it counts. A histogram's
-- `value` is its sum; `bounds` and `buckets` (JSON) are there where it says them. This takes the place of `points`, which knew no
-- instances; that one goes once no version is run any more that writes to it.
CREATE TABLE IF NOT EXISTS exported (
    service     TEXT NOT NULL,
    instance    TEXT NOT NULL,
    name        TEXT NOT NULL,
    attributes  TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    before_at   INTEGER,
    start_ns    INTEGER NOT NULL,
    time_ns     INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    unit        TEXT NOT NULL,
    description TEXT NOT NULL,
    value       REAL,
    count       INTEGER,
    bounds      TEXT,
    buckets     TEXT,
    PRIMARY KEY (service, instance, name, attributes)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS exported_by_age ON exported (received_at);
