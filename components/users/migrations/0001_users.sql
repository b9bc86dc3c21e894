-- Accounts, sessions, addresses, what is known of failed logins, and the keys that sign access tokens.
-- Statements are separated by empty lines, and each can be repeated.

-- A deleted account stays as a tombstone: an id without personal data, so that orders keep a valid owner.
-- `password_version` counts changes of the password; `password_session` is the session that made the last one.
CREATE TABLE IF NOT EXISTS users (
    id               TEXT PRIMARY KEY,
    email            TEXT CONSTRAINT email_is_lower_case CHECK (email = lower(email)),
    name             TEXT,
    password_hash    TEXT,
    password_version INTEGER NOT NULL DEFAULT 1,
    password_session TEXT,
    role             TEXT NOT NULL DEFAULT 'customer' CONSTRAINT role_is_known CHECK (role IN ('customer', 'admin')),
    created_at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    updated_at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    deleted_at       TEXT,
    CONSTRAINT account_is_whole CHECK (
        deleted_at IS NOT NULL OR (email IS NOT NULL AND name IS NOT NULL AND password_hash IS NOT NULL)
    ),
    CONSTRAINT tombstone_is_bare CHECK (
        deleted_at IS NULL
        OR (email IS NULL AND name IS NULL AND password_hash IS NULL AND password_session IS NULL AND role = 'customer')
    )
) WITHOUT ROWID;

CREATE UNIQUE INDEX IF NOT EXISTS users_by_email ON users (email);

CREATE TRIGGER IF NOT EXISTS tombstones_stay BEFORE UPDATE ON users WHEN old.deleted_at IS NOT NULL BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: tombstones_stay');
END;

CREATE TRIGGER IF NOT EXISTS users_stay BEFORE DELETE ON users BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: users_stay');
END;

-- A session is a family of refresh tokens: the one that is good now, as its SHA-256 in base64url, and those that are spent.
-- `client` says where it began, as in `known_clients`. A session that has ended is not there any more.
CREATE TABLE IF NOT EXISTS sessions (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id),
    token        TEXT NOT NULL UNIQUE CONSTRAINT token_is_a_hash CHECK (length(token) = 43),
    client       TEXT,
    created_at   TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    refreshed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    expires_at   TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS sessions_by_user ON sessions (user_id, refreshed_at);

CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at);

CREATE TABLE IF NOT EXISTS spent_tokens (
    token      TEXT PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    spent_at   TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS spent_tokens_by_session ON spent_tokens (session_id);

CREATE INDEX IF NOT EXISTS spent_tokens_by_time ON spent_tokens (spent_at);

CREATE TRIGGER IF NOT EXISTS a_token_is_spent_once AFTER UPDATE OF token ON sessions WHEN new.token <> old.token BEGIN
    INSERT INTO spent_tokens (token, session_id) VALUES (old.token, old.id);
    DELETE FROM spent_tokens WHERE token IN (
        SELECT token FROM spent_tokens WHERE spent_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-30 days') LIMIT 10
    );
END;

-- Nobody needs more than 50 sessions; those that were not used for longest go. (Whatever adds rows also deletes some that are
-- over, so that the tables are bounded where nobody calls the tick.)
CREATE TRIGGER IF NOT EXISTS sessions_are_bounded AFTER INSERT ON sessions BEGIN
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE expires_at <= strftime('%Y-%m-%dT%H:%M:%fZ') LIMIT 10
    );
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE user_id = new.user_id ORDER BY refreshed_at DESC, id DESC LIMIT -1 OFFSET 50
    );
END;

-- Where an account has been logged in to: a hash of its e-mail and the client's address.
CREATE TABLE IF NOT EXISTS known_clients (
    client  TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    last_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS known_clients_by_user ON known_clients (user_id, last_at);

CREATE INDEX IF NOT EXISTS known_clients_by_time ON known_clients (last_at);

CREATE TRIGGER IF NOT EXISTS a_login_makes_a_client_known AFTER INSERT ON sessions WHEN new.client IS NOT NULL BEGIN
    INSERT INTO known_clients (client, user_id) VALUES (new.client, new.user_id)
    ON CONFLICT (client) DO UPDATE SET user_id = excluded.user_id, last_at = excluded.last_at;
    DELETE FROM known_clients WHERE client IN (
        SELECT client FROM known_clients WHERE user_id = new.user_id ORDER BY last_at DESC LIMIT -1 OFFSET 20
    );
END;

-- What ends sessions, whoever changes the account.

CREATE TRIGGER IF NOT EXISTS a_new_role_ends_sessions AFTER UPDATE OF role ON users WHEN new.role <> old.role BEGIN
    DELETE FROM sessions WHERE user_id = new.id;
END;

CREATE TRIGGER IF NOT EXISTS a_new_password_ends_other_sessions AFTER UPDATE OF password_version ON users
WHEN new.password_version <> old.password_version BEGIN
    DELETE FROM sessions WHERE user_id = new.id AND id IS NOT new.password_session;
END;

-- An account has 20 addresses at most, and one of them is the default where there is any.
CREATE TABLE IF NOT EXISTS addresses (
    id          TEXT PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES users (id),
    name        TEXT NOT NULL,
    line1       TEXT NOT NULL,
    line2       TEXT,
    city        TEXT NOT NULL,
    postal_code TEXT NOT NULL,
    region      TEXT,
    country     TEXT NOT NULL CONSTRAINT country_is_a_code CHECK (country GLOB '[A-Z][A-Z]'),
    phone       TEXT,
    is_default  INTEGER NOT NULL CONSTRAINT is_default_is_boolean CHECK (is_default IN (0, 1)),
    created_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    updated_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS addresses_by_user ON addresses (user_id, id);

CREATE UNIQUE INDEX IF NOT EXISTS one_default_address ON addresses (user_id) WHERE is_default;

CREATE TRIGGER IF NOT EXISTS addresses_are_bounded BEFORE INSERT ON addresses
WHEN (SELECT count(*) FROM addresses WHERE user_id = new.user_id) >= 20 BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: addresses_are_bounded');
END;

CREATE TRIGGER IF NOT EXISTS addresses_are_of_accounts BEFORE INSERT ON addresses
WHEN NOT EXISTS (SELECT 1 FROM users WHERE id = new.user_id AND deleted_at IS NULL) BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: addresses_are_of_accounts');
END;

CREATE TRIGGER IF NOT EXISTS a_new_default_takes_the_place BEFORE INSERT ON addresses WHEN new.is_default BEGIN
    UPDATE addresses SET is_default = 0 WHERE user_id = new.user_id AND is_default;
END;

CREATE TRIGGER IF NOT EXISTS another_default_takes_the_place BEFORE UPDATE OF is_default ON addresses
WHEN new.is_default AND NOT old.is_default BEGIN
    UPDATE addresses SET is_default = 0 WHERE user_id = new.user_id AND is_default;
END;

CREATE TRIGGER IF NOT EXISTS the_oldest_becomes_default AFTER DELETE ON addresses WHEN old.is_default BEGIN
    UPDATE addresses SET is_default = 1 WHERE id = (SELECT min(id) FROM addresses WHERE user_id = old.user_id);
END;

CREATE TRIGGER IF NOT EXISTS a_tombstone_keeps_nothing AFTER UPDATE OF deleted_at ON users WHEN new.deleted_at IS NOT NULL BEGIN
    DELETE FROM sessions WHERE user_id = new.id;
    DELETE FROM known_clients WHERE user_id = new.id;
    DELETE FROM addresses WHERE user_id = new.id;
END;

-- Failed logins, counted by what they have in common: `key` is the hash of an account or of a client's address.
CREATE TABLE IF NOT EXISTS attempts (
    key           TEXT PRIMARY KEY,
    failures      INTEGER NOT NULL,
    blocked_until TEXT NOT NULL,
    forget_at     TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS attempts_by_forgetting ON attempts (forget_at);

CREATE TRIGGER IF NOT EXISTS attempts_are_bounded AFTER INSERT ON attempts BEGIN
    DELETE FROM attempts WHERE key IN (
        SELECT key FROM attempts WHERE forget_at <= strftime('%Y-%m-%dT%H:%M:%fZ') LIMIT 10
    );
END;

-- The keys of access tokens. Each is published from the moment it is there, and signs from `signs_from` until the next one does.
CREATE TABLE IF NOT EXISTS signing_keys (
    kid        TEXT PRIMARY KEY,
    secret     BLOB NOT NULL CONSTRAINT secret_has_32_bytes CHECK (length(secret) = 32),
    signs_from TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
) WITHOUT ROWID;
