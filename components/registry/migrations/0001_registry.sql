-- The instances of services, and what their watchers have to be told of.
-- Statements are separated by empty lines, and each can be repeated.

-- Two things are known of an instance: until when its lease is, which it renews, and its `health`, which probes find out. `lapsed`
-- says that its watchers have been told of the end of its lease. A probe is claimed by moving `probe_at` on, past the time a probe
-- takes; `failures` counts those in a row that failed.
CREATE TABLE IF NOT EXISTS instances (
    service       TEXT NOT NULL,
    id            TEXT NOT NULL,
    address       TEXT NOT NULL,
    incarnation   TEXT NOT NULL,
    health        TEXT NOT NULL DEFAULT 'up' CONSTRAINT health_is_known CHECK (health IN ('up', 'down', 'wrong')),
    failures      INTEGER NOT NULL DEFAULT 0,
    renewals      INTEGER NOT NULL DEFAULT 0,
    lapsed        INTEGER NOT NULL DEFAULT 0,
    registered_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    renewed_at    TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    expires_at    TEXT NOT NULL,
    probed_at     TEXT,
    probe_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    PRIMARY KEY (service, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX IF NOT EXISTS instances_by_address ON instances (address);

CREATE INDEX IF NOT EXISTS instances_to_lapse ON instances (expires_at) WHERE lapsed = 0;

CREATE INDEX IF NOT EXISTS instances_to_forget ON instances (expires_at) WHERE lapsed = 1;

CREATE INDEX IF NOT EXISTS instances_to_probe ON instances (probe_at) WHERE lapsed = 0;

-- Whoever listens at an address now is who registered it last. (This fires for an INSERT that becomes an UPDATE as well.)
CREATE TRIGGER IF NOT EXISTS address_is_taken BEFORE INSERT ON instances BEGIN
    DELETE FROM instances WHERE address = new.address AND (service, id) <> (new.service, new.id);
END;

-- When something of a service has last changed that its watchers have to know.
CREATE TABLE IF NOT EXISTS revisions (
    service  TEXT PRIMARY KEY,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS revisions_in_order ON revisions (revision);

-- A change makes its service's revision larger than all there are, so that the largest of several services tells of a change of any.
-- It is also no smaller than the time in milliseconds: so it grows on where the database was lost, and watchers hear of it.
CREATE VIEW IF NOT EXISTS next_revision AS
SELECT max(coalesce(max(revision) + 1, 0), CAST(unixepoch('subsec') * 1000 AS INTEGER)) AS revision FROM revisions;

CREATE TRIGGER IF NOT EXISTS tell_of_registration AFTER INSERT ON instances BEGIN
    INSERT INTO revisions (service, revision) SELECT new.service, revision FROM next_revision WHERE true
    ON CONFLICT (service) DO UPDATE SET revision = excluded.revision;
END;

CREATE TRIGGER IF NOT EXISTS tell_of_removal AFTER DELETE ON instances BEGIN
    INSERT INTO revisions (service, revision) SELECT old.service, revision FROM next_revision WHERE true
    ON CONFLICT (service) DO UPDATE SET revision = excluded.revision;
END;

-- A mere renewal is nothing to tell of, unless the lease was over: somebody may have seen that, also before it was noted down.
CREATE TRIGGER IF NOT EXISTS tell_of_change AFTER UPDATE ON instances
WHEN (new.address, new.incarnation, new.health, new.lapsed) <> (old.address, old.incarnation, old.health, old.lapsed)
OR old.expires_at <= new.renewed_at BEGIN
    INSERT INTO revisions (service, revision) SELECT new.service, revision FROM next_revision WHERE true
    ON CONFLICT (service) DO UPDATE SET revision = excluded.revision;
END;
