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

CREATE TRIGGER IF NOT EXISTS spans_make_traces AFTER INSERT ON spans BEGIN
    INSERT INTO traces (trace_id, received_at, start_ns, end_ns, spans, errors, request_id, is_rootless, named_ns, service, name)
    VALUES (new.trace_id, new.received_at, new.start_ns, new.start_ns + new.duration_ns, 1, new.failed, new.request_id,
        new.parent_id IS NOT NULL, new.start_ns, new.service, new.name)
    ON CONFLICT (trace_id) DO UPDATE SET start_ns = min(start_ns, excluded.start_ns), end_ns = max(end_ns, excluded.end_ns),
        spans = spans + 1, errors = errors + excluded.errors, request_id = coalesce(request_id, excluded.request_id);
    UPDATE traces SET is_rootless = new.parent_id IS NOT NULL, named_ns = new.start_ns, service = new.service, name = new.name
    WHERE trace_id = new.trace_id AND (new.parent_id IS NOT NULL, new.start_ns) < (is_rootless, named_ns);
END;

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

-- A view, so that the two triggers below can say what they have seen and one can write it down.
CREATE VIEW IF NOT EXISTS observations AS
SELECT '' AS caller, '' AS service, '' AS route, 0 AS minute, 0 AS bucket, 0 AS failed, 0 AS duration_ns, '' AS trace_id, 0 AS at
WHERE FALSE;

CREATE TRIGGER IF NOT EXISTS observations_are_counted INSTEAD OF INSERT ON observations BEGIN
    INSERT INTO series (caller, service, route) SELECT new.caller, new.service, new.route
    WHERE (SELECT max(id) FROM series) < 2000 ON CONFLICT DO NOTHING;
    INSERT INTO totals (series, bucket, calls, errors, sum_ns, trace_id, traced_ns, traced_at)
    SELECT coalesce(
            (SELECT id FROM series WHERE (caller, service, route) = (new.caller, new.service, new.route)), 1
        ), new.bucket, 1, new.failed, new.duration_ns, new.trace_id, new.duration_ns, new.at
    WHERE TRUE
    ON CONFLICT (series, bucket) DO UPDATE SET calls = calls + 1, errors = errors + excluded.errors,
        sum_ns = sum_ns + excluded.sum_ns, trace_id = excluded.trace_id, traced_ns = excluded.traced_ns, traced_at = excluded.traced_at;
    INSERT INTO minutes (minute, series, bucket, calls, errors, sum_ns)
    SELECT new.minute, coalesce(
            (SELECT id FROM series WHERE (caller, service, route) = (new.caller, new.service, new.route)), 1
        ), new.bucket, 1, new.failed, new.duration_ns
    WHERE TRUE
    ON CONFLICT (minute, series, bucket) DO UPDATE SET calls = calls + 1, errors = errors + excluded.errors,
        sum_ns = sum_ns + excluded.sum_ns;
END;

CREATE TRIGGER IF NOT EXISTS requests_are_measured AFTER INSERT ON spans WHEN new.route IS NOT NULL BEGIN
    INSERT INTO observations (caller, service, route, minute, bucket, failed, duration_ns, trace_id, at)
    VALUES ('', new.service, new.route, new.minute, new.bucket, new.failed, new.duration_ns, new.trace_id, new.received_at);
END;

-- A call is a request whose span has a parent in another service. Whichever of the two spans comes second finds the first.
CREATE TRIGGER IF NOT EXISTS calls_are_measured AFTER INSERT ON spans BEGIN
    INSERT INTO observations (caller, service, route, minute, bucket, failed, duration_ns, trace_id, at)
    SELECT caller.service, new.service, '', new.minute, new.bucket, new.failed, new.duration_ns, new.trace_id, new.received_at
    FROM spans AS caller
    WHERE new.route IS NOT NULL AND caller.trace_id = new.trace_id AND caller.span_id = new.parent_id
        AND caller.service <> new.service;
    INSERT INTO observations (caller, service, route, minute, bucket, failed, duration_ns, trace_id, at)
    SELECT new.service, callee.service, '', callee.minute, callee.bucket, callee.failed, callee.duration_ns, new.trace_id, new.received_at
    FROM spans AS callee
    WHERE callee.route IS NOT NULL AND callee.trace_id = new.trace_id AND callee.parent_id = new.span_id
        AND callee.service <> new.service;
END;

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
