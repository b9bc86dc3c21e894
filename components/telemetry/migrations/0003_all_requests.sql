-- All requests to services, by minute, as their hosts count them, whichever are traced. Statements are separated by empty lines, and each can be
-- repeated.

-- As `minutes` has those that are traced, but of services as a whole. `sum_ns` of all buckets is in the first.
CREATE TABLE IF NOT EXISTS all_requests (
    minute  INTEGER NOT NULL,
    service TEXT NOT NULL,
    bucket  INTEGER NOT NULL,
    calls   INTEGER NOT NULL,
    errors  INTEGER NOT NULL,
    sum_ns  INTEGER NOT NULL,
    PRIMARY KEY (minute, service, bucket)
) STRICT, WITHOUT ROWID;

-- Which series they are counted by: the histogram of a server's requests, if its buckets are ours. Numbers that cannot be are left alone.
CREATE VIEW IF NOT EXISTS histograms_of_requests AS
SELECT service, instance, name, attributes FROM exported
WHERE name = 'http.server.request.duration' AND unit = 's' AND kind = 'histogram' AND buckets IS NOT NULL
    AND bounds = '[0.001,0.0025,0.005,0.01,0.025,0.05,0.1,0.25,0.5,1.0,2.5,5.0,10.0]'
    AND count BETWEEN 0 AND 1000000000000 AND value BETWEEN 0 AND 100000000;

-- What has been added to one of them, `had` before; a view, so that the triggers below can say it and one can write it down.
CREATE VIEW IF NOT EXISTS increases AS
SELECT 0 AS minute, '' AS service, '' AS attributes, '[]' AS had, '[]' AS has, 0.0 AS seconds WHERE FALSE;

CREATE TRIGGER IF NOT EXISTS increases_are_added INSTEAD OF INSERT ON increases BEGIN
    INSERT INTO all_requests (minute, service, bucket, calls, errors, sum_ns)
    SELECT new.minute, new.service, key, max(value - coalesce(new.had ->> key, 0), 0),
        iif(CAST(new.attributes ->> '$."http.response.status_code"' AS INTEGER) >= 500, max(value - coalesce(new.had ->> key, 0), 0), 0),
        iif(key = 0, CAST(round(new.seconds * 1e9) AS INTEGER), 0)
    FROM json_each(new.has)
    WHERE key = 0 OR value > coalesce(new.had ->> key, 0)
    ON CONFLICT (minute, service, bucket) DO UPDATE SET calls = min(calls + excluded.calls, 1000000000000000),
        errors = min(errors + excluded.errors, 1000000000000000), sum_ns = min(sum_ns + excluded.sum_ns, 1000000000000000000);
END;

-- The first of a series that is new: all of it is of late where the process is, or where others of the same process have come of late.
CREATE TRIGGER IF NOT EXISTS requests_begin_to_be_counted AFTER INSERT ON exported
WHEN new.name = 'http.server.request.duration' BEGIN
    INSERT INTO increases (minute, service, attributes, had, has, seconds)
    SELECT new.received_at / 60000, new.service, new.attributes, '[]', new.buckets, new.value
    FROM histograms_of_requests
    WHERE (service, instance, name, attributes) = (new.service, new.instance, new.name, new.attributes)
        AND (new.time_ns - new.start_ns <= 300000000000 OR EXISTS (
            SELECT 1 FROM exported AS known WHERE known.service = new.service AND known.instance = new.instance
                AND known.name = new.name AND known.start_ns = new.start_ns
                AND new.received_at - iif(known.received_at < new.received_at, known.received_at, known.before_at) <= 300000
        ));
END;

-- The next ones. What was added in a time that nothing came in is of no minute; who begins anew begins at nothing.
CREATE TRIGGER IF NOT EXISTS requests_are_counted AFTER UPDATE ON exported
WHEN new.name = 'http.server.request.duration' BEGIN
    INSERT INTO increases (minute, service, attributes, had, has, seconds)
    SELECT new.received_at / 60000, new.service, new.attributes,
        iif(old.start_ns = new.start_ns, old.buckets, '[]'), new.buckets, iif(old.start_ns = new.start_ns, new.value - old.value, new.value)
    FROM histograms_of_requests
    WHERE (service, instance, name, attributes) = (new.service, new.instance, new.name, new.attributes)
        AND iif(old.start_ns = new.start_ns, old.bounds = new.bounds AND new.count > old.count AND new.value >= old.value
            AND new.received_at - old.received_at <= 300000, new.time_ns - new.start_ns <= 300000000000);
END;
