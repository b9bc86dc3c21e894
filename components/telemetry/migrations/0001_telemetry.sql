-- Spans, the traces they make, what is measured of them; logs; and the newest points of metrics that others export.
-- Statements are separated by empty lines, and each can be repeated.

-- `received_at` (milliseconds since 1970) is by our own clock, and is what age goes by: what an exporter says of time is its own.
-- `route` is there for spans that answer a request or take a message; `bucket` is which of the latency bounds the duration is within.
CREATE TABLE IF NOT EXISTS spans (
    trace_id    TEXT NOT NULL,
    span_id     TEXT NOT NULL,
    parent_id   TEXT,
    received_at INTEGER NOT NULL,
    service     TEXT NOT NULL,
    name        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    route       TEXT,
    request_id  TEXT,
    start_ns    INTEGER NOT NULL,
    duration_ns INTEGER NOT NULL CONSTRAINT duration_is_not_negative CHECK (duration_ns >= 0),
    failed      INTEGER NOT NULL,
    message     TEXT,
    minute      INTEGER NOT NULL,
    bucket      INTEGER NOT NULL,
    attributes  TEXT NOT NULL,
    events      TEXT NOT NULL,
    links       TEXT NOT NULL,
    PRIMARY KEY (trace_id, span_id)
) STRICT;

CREATE INDEX IF NOT EXISTS spans_by_parent ON spans (trace_id, parent_id) WHERE parent_id IS NOT NULL;

CREATE INDEX IF NOT EXISTS spans_by_request ON spans (request_id) WHERE request_id IS NOT NULL;

-- A trace is what its spans say: from when to when, how many, and how it is called. `is_rootless` until the span without a parent is
-- there; meanwhile it is called as its earliest span.
CREATE TABLE IF NOT EXISTS traces (
    trace_id    TEXT PRIMARY KEY,
    received_at INTEGER NOT NULL,
    start_ns    INTEGER NOT NULL,
    end_ns      INTEGER NOT NULL,
    spans       INTEGER NOT NULL,
    errors      INTEGER NOT NULL,
    request_id  TEXT,
    is_rootless INTEGER NOT NULL,
    named_ns    INTEGER NOT NULL,
    service     TEXT NOT NULL,
    name        TEXT NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS traces_by_start ON traces (start_ns, trace_id);

CREATE INDEX IF NOT EXISTS traces_by_age ON traces (received_at);

CREATE TRIGGER IF NOT EXISTS spans_go_with_their_trace AFTER DELETE ON traces BEGIN
    DELETE FROM spans WHERE trace_id = old.trace_id;
END;

-- What is measured: requests to a route of a service (`caller` is empty), and calls of one service by another (`route` is empty).
-- When there are too many the rest is counted as the first. They stay, since counters must not go back.
CREATE TABLE IF NOT EXISTS series (
    id      INTEGER PRIMARY KEY,
    caller  TEXT NOT NULL,
    service TEXT NOT NULL,
    route   TEXT NOT NULL,
    UNIQUE (caller, service, route)
) STRICT;

INSERT OR IGNORE INTO series (id, caller, service, route) VALUES (1, '', 'other', 'other');

-- How many took how long, since ever and by minute. The trace is that of the newest, for exemplars.
CREATE TABLE IF NOT EXISTS totals (
    series     INTEGER NOT NULL REFERENCES series (id),
    bucket     INTEGER NOT NULL,
    calls      INTEGER NOT NULL,
    errors     INTEGER NOT NULL,
    sum_ns     INTEGER NOT NULL,
    trace_id   TEXT NOT NULL,
    traced_ns  INTEGER NOT NULL,
    traced_at  INTEGER NOT NULL,
    PRIMARY KEY (series, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS minutes (
    minute INTEGER NOT NULL,
    series INTEGER NOT NULL REFERENCES series (id),
    bucket INTEGER NOT NULL,
    calls  INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    sum_ns INTEGER NOT NULL,
    PRIMARY KEY (minute, series, bucket)
) STRICT, WITHOUT ROWID;

-- `id` only grows, so that who follows misses nothing. The same record comes twice when an exporter tries again; `digest` tells.
CREATE TABLE IF NOT EXISTS logs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at INTEGER NOT NULL,
    time_ns     INTEGER NOT NULL,
    digest      INTEGER NOT NULL,
    service     TEXT NOT NULL,
    level       INTEGER NOT NULL,
    message     TEXT NOT NULL,
    trace_id    TEXT,
    span_id     TEXT,
    request_id  TEXT,
    attributes  TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX IF NOT EXISTS logs_once ON logs (time_ns, digest);

CREATE INDEX IF NOT EXISTS logs_by_age ON logs (received_at);

CREATE INDEX IF NOT EXISTS logs_by_trace ON logs (trace_id, time_ns) WHERE trace_id IS NOT NULL;

CREATE INDEX IF NOT EXISTS logs_by_request ON logs (request_id) WHERE request_id IS NOT NULL;

-- The newest point of each series that somebody exports. A histogram's value is its sum.
CREATE TABLE IF NOT EXISTS points (
    service     TEXT NOT NULL,
    name        TEXT NOT NULL,
    attributes  TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    time_ns     INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    unit        TEXT NOT NULL,
    value       REAL,
    count       INTEGER,
    PRIMARY KEY (service, name, attributes)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS points_by_age ON points (received_at);
