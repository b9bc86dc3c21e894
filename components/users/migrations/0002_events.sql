-- What users tells the others. An event names a user by the id alone.
-- Statements are separated by empty lines, and each can be repeated.

CREATE TRIGGER IF NOT EXISTS tell_of_new_users AFTER INSERT ON users BEGIN
    INSERT INTO outbox (type, subject, data)
    VALUES ('user.registered', new.id, json_object('user_id', new.id, 'role', new.role));
END;

CREATE TRIGGER IF NOT EXISTS tell_of_deleted_users AFTER UPDATE OF deleted_at ON users
WHEN new.deleted_at IS NOT NULL AND old.deleted_at IS NULL BEGIN
    INSERT INTO outbox (type, subject, data) VALUES ('user.deleted', new.id, json_object('user_id', new.id));
END;
