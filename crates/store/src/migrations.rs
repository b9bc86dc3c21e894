//! Bringing a database up to the newest schema.

use crate::connection::Connection;
use crate::{Error, Row, Value};

/// One step of a database's schema.
///
/// `sql` is a list of statements separated by **empty lines** (a trigger has semicolons inside, so these do not do), each safe
/// to repeat: `CREATE ... IF NOT EXISTS`, `INSERT OR IGNORE`, `DROP ... IF EXISTS`, `ADD COLUMN`. No two statements can share a
/// transaction, and several instances may run a migration at the same time; repeatable statements make both harmless. A
/// migration that has been released is never changed: a new one follows it.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// What it is recorded under, such as `0001_products`.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

impl Migration {
    /// Its statements, one by one.
    pub fn statements(&self) -> impl Iterator<Item = &'static str> {
        self.sql
            .split("\n\n")
            .map(str::trim)
            .filter(|statement| !is_comment(statement))
    }
}

fn is_comment(statement: &str) -> bool {
    statement
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with("--"))
}

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    name TEXT PRIMARY KEY,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
) WITHOUT ROWID";

/// Runs the migrations that are not recorded yet. Where all are, this costs one read.
pub(crate) fn apply(connection: &Connection, migrations: &[Migration]) -> Result<(), Error> {
    let applied = match applied(connection) {
        Ok(names) => names,
        Err(Error::Sql(_)) => {
            connection.run(LEDGER, [])?;
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    for migration in migrations {
        if applied.iter().any(|name| name == migration.name) {
            continue;
        }
        for statement in migration.statements() {
            match connection.run(statement, []) {
                // SQLite has no `ADD COLUMN IF NOT EXISTS`; this is what it would do.
                Err(Error::Sql(message)) if message.contains("duplicate column name") => {}
                outcome => drop(outcome?),
            }
        }
        let record = "INSERT OR IGNORE INTO schema_migrations (name) VALUES (?1)";
        connection.run(record, [Value::from(migration.name)])?;
    }
    Ok(())
}

/// The names of the migrations that have run; an error where none ever has.
fn applied(connection: &Connection) -> Result<Vec<String>, Error> {
    let rows = connection.run("SELECT name FROM schema_migrations", [])?;
    rows.into_iter()
        .map(|values| Row::new(values).take())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_parted_by_empty_lines() {
        let migration = Migration {
            name: "m",
            sql: "-- What this is for.\n\n-- A table.\nCREATE TABLE a (\n  b\n);\n\n\
                  CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM a;\n  SELECT 1;\nEND;\n\n\n",
        };
        let statements: Vec<_> = migration.statements().collect();
        assert_eq!(statements.len(), 2);
        assert!(statements[0].starts_with("-- A table.\nCREATE TABLE a"));
        assert!(statements[1].starts_with("CREATE TRIGGER t") && statements[1].ends_with("END;"));
    }
}
