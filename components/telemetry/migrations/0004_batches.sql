-- Traces are made of spans, and requests and calls counted, by the batch: there may be two thousand spans in one, of a hundred traces and twenty routes.
-- Statements are separated by empty lines, and each can be repeated.

-- Which span was the last before the batch that is being kept, while one is.
CREATE TABLE IF NOT EXISTS batching (
    id          INTEGER PRIMARY KEY CONSTRAINT there_is_one CHECK (id = 1),
    is_kept     INTEGER NOT NULL,
    comes_after INTEGER NOT NULL
) STRICT;

INSERT OR IGNORE INTO batching (id, is_kept, comes_after) VALUES (1, FALSE, 0);

-- A database of before has these, which did it span by span. (The first migration does not make them any more, so that no instance that is late with it
-- brings them back.)
DROP TRIGGER IF EXISTS spans_make_traces;

DROP TRIGGER IF EXISTS requests_are_measured;

DROP TRIGGER IF EXISTS calls_are_measured;

DROP TRIGGER IF EXISTS observations_are_counted;

DROP VIEW IF EXISTS observations;

-- So many requests or calls, that took about as long in the same minute; a view, so that one trigger can say what it has seen and another can
-- write it down.
CREATE VIEW IF NOT EXISTS sightings AS
SELECT '' AS caller, '' AS service, '' AS route, 0 AS minute, 0 AS bucket, 0 AS calls, 0 AS errors, 0 AS sum_ns,
    '' AS trace_id, 0 AS traced_ns, 0 AS traced_at
WHERE FALSE;

CREATE TRIGGER IF NOT EXISTS sightings_are_counted INSTEAD OF INSERT ON sightings BEGIN
    INSERT INTO series (caller, service, route) SELECT new.caller, new.service, new.route
    WHERE (SELECT max(id) FROM series) < 2000 ON CONFLICT DO NOTHING;
    INSERT INTO totals (series, bucket, calls, errors, sum_ns, trace_id, traced_ns, traced_at)
    SELECT coalesce(
            (SELECT id FROM series WHERE (caller, service, route) = (new.caller, new.service, new.route)), 1
        ), new.bucket, new.calls, new.errors, new.sum_ns, new.trace_id, new.traced_ns, new.traced_at
    WHERE TRUE
    ON CONFLICT (series, bucket) DO UPDATE SET calls = calls + excluded.calls, errors = errors + excluded.errors,
        sum_ns = sum_ns + excluded.sum_ns, trace_id = excluded.trace_id, traced_ns = excluded.traced_ns, traced_at = excluded.traced_at;
    INSERT INTO minutes (minute, series, bucket, calls, errors, sum_ns)
    SELECT new.minute, coalesce(
            (SELECT id FROM series WHERE (caller, service, route) = (new.caller, new.service, new.route)), 1
        ), new.bucket, new.calls, new.errors, new.sum_ns
    WHERE TRUE
    ON CONFLICT (minute, series, bucket) DO UPDATE SET calls = calls + excluded.calls, errors = errors + excluded.errors,
        sum_ns = sum_ns + excluded.sum_ns;
END;

-- All spans after this one are new.
CREATE VIEW IF NOT EXISTS arrivals AS SELECT 0 AS after WHERE FALSE;

-- A trace is called as its earliest span without a parent, or where none has come yet as its earliest: these come first in the order of `rank`.
-- A call is a request whose span has a parent in another service; whichever of the two spans comes second finds the first.
CREATE TRIGGER IF NOT EXISTS arrivals_are_counted INSTEAD OF INSERT ON arrivals BEGIN
    INSERT INTO traces (trace_id, received_at, start_ns, end_ns, spans, errors, request_id, is_rootless, named_ns, service, name)
    SELECT trace_id, max(received_at), min(start_ns), max(start_ns + duration_ns), count(*), sum(failed), max(request_id), TRUE,
        9223372036854775807, '', ''
    FROM spans NOT INDEXED WHERE rowid > new.after GROUP BY trace_id
    ON CONFLICT (trace_id) DO UPDATE SET start_ns = min(start_ns, excluded.start_ns), end_ns = max(end_ns, excluded.end_ns),
        spans = spans + excluded.spans, errors = errors + excluded.errors, request_id = coalesce(request_id, excluded.request_id);
    UPDATE traces SET is_rootless = first.is_rootless, named_ns = first.start_ns, service = first.service, name = first.name
    FROM (
        SELECT trace_id, parent_id IS NOT NULL AS is_rootless, start_ns, service, name,
            min(start_ns + iif(parent_id IS NULL, 0, 1 << 62)) AS rank
        FROM spans NOT INDEXED WHERE rowid > new.after GROUP BY trace_id
    ) AS first
    WHERE traces.trace_id = first.trace_id AND (first.is_rootless, first.start_ns) < (traces.is_rootless, traces.named_ns);
    INSERT INTO sightings (caller, service, route, minute, bucket, calls, errors, sum_ns, trace_id, traced_ns, traced_at)
    SELECT '', service, route, minute, bucket, count(*), sum(failed), sum(duration_ns), trace_id, duration_ns, max(received_at)
    FROM spans NOT INDEXED WHERE rowid > new.after AND route IS NOT NULL
    GROUP BY service, route, minute, bucket;
    INSERT INTO sightings (caller, service, route, minute, bucket, calls, errors, sum_ns, trace_id, traced_ns, traced_at)
    SELECT caller.service, callee.service, '', callee.minute, callee.bucket, count(*), sum(callee.failed), sum(callee.duration_ns),
        callee.trace_id, callee.duration_ns, max(callee.received_at)
    FROM spans AS callee JOIN spans AS caller ON caller.trace_id = callee.trace_id AND caller.span_id = callee.parent_id
    WHERE callee.rowid > new.after AND callee.route IS NOT NULL AND caller.service <> callee.service
    GROUP BY caller.service, callee.service, callee.minute, callee.bucket;
    INSERT INTO sightings (caller, service, route, minute, bucket, calls, errors, sum_ns, trace_id, traced_ns, traced_at)
    SELECT caller.service, callee.service, '', callee.minute, callee.bucket, count(*), sum(callee.failed), sum(callee.duration_ns),
        callee.trace_id, callee.duration_ns, max(callee.received_at)
    FROM spans AS caller CROSS JOIN spans AS callee ON callee.trace_id = caller.trace_id AND callee.parent_id = caller.span_id
    WHERE caller.rowid > new.after AND callee.rowid <= new.after AND callee.route IS NOT NULL AND caller.service <> callee.service
    GROUP BY caller.service, callee.service, callee.minute, callee.bucket;
END;

-- The version before, which may run beside this one or again after it, hands over spans without a batch.
CREATE TRIGGER IF NOT EXISTS spans_without_a_batch_arrive AFTER INSERT ON spans WHEN NOT (SELECT is_kept FROM batching) BEGIN
    INSERT INTO arrivals (after) VALUES (new.rowid - 1);
END;

-- What it handed over since its triggers are gone is of no trace, and would stay for ever.
DELETE FROM spans WHERE trace_id NOT IN (SELECT trace_id FROM traces);

-- Spans as they are handed over: a JSON array of them.
CREATE VIEW IF NOT EXISTS batches AS SELECT '[]' AS rows, 0 AS received_at WHERE FALSE;

-- A limit of none has each span be made a text once and not for each column.
CREATE TRIGGER IF NOT EXISTS batches_are_kept INSTEAD OF INSERT ON batches BEGIN
    UPDATE batching SET is_kept = TRUE, comes_after = (SELECT coalesce(max(rowid), 0) FROM spans);
    INSERT INTO spans (trace_id, span_id, parent_id, received_at, service, name, kind, route, request_id, start_ns, duration_ns, failed,
        message, minute, bucket, attributes, events, links)
    SELECT span ->> 'trace_id', span ->> 'span_id', span ->> 'parent_id', new.received_at, span ->> 'service', span ->> 'name',
        span ->> 'kind', span ->> 'route', span ->> 'request_id', span ->> 'start_ns', span ->> 'duration_ns', span ->> 'failed',
        span ->> 'message', span ->> 'minute', span ->> 'bucket', span -> 'attributes', span -> 'events', span -> 'links'
    FROM (SELECT value AS span FROM json_each(new.rows) LIMIT -1)
    WHERE TRUE ON CONFLICT DO NOTHING;
    INSERT INTO arrivals (after) SELECT comes_after FROM batching;
    UPDATE batching SET is_kept = FALSE;
END;
