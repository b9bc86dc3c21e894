//! Every SQL statement of the service.

pub mod addresses;
pub mod attempts;
pub mod keys;
pub mod sessions;
pub mod users;

use souk_access::Role;
use souk_events::Outbox;
use souk_store::{Database, Error, FromValue, Migration, Value};

use crate::domain::{self, Email};

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_users",
        sql: include_str!("../migrations/0001_users.sql"),
    },
    souk_events::MIGRATION,
    Migration {
        name: "0002_events",
        sql: include_str!("../migrations/0002_events.sql"),
    },
    Migration {
        name: "0003_refreshes",
        sql: include_str!("../migrations/0003_refreshes.sql"),
    },
];

static DATABASE: Database = Database::new("users", MIGRATIONS);

/// What the triggers write for others to know.
pub static OUTBOX: Outbox = Outbox::new("users", MIGRATIONS);

/// A value of ours as it is kept.
struct Kept<T>(T);

impl FromValue for Kept<Role> {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        domain::role_from(&String::from_value(value)?)
            .map(Kept)
            .ok_or("a role")
    }
}

impl FromValue for Kept<Email> {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        String::from_value(value).map(|text| Self(Email::kept(text)))
    }
}

/// Runs a statement; says whether it returned a row.
async fn did(sql: &str, parameters: impl IntoIterator<Item = Value>) -> Result<bool, Error> {
    let done: Option<()> = DATABASE.write_one(sql, parameters).await?;
    Ok(done.is_some())
}

/// What a statement that always returns a row returned.
fn returned<T>(row: Option<T>) -> Result<T, Error> {
    row.ok_or_else(|| Error::Sql("a statement returned no row".into()))
}

/// Deletes what is over.
pub async fn prune() -> Result<(), Error> {
    sessions::prune().await?;
    attempts::prune().await?;
    users::prune_known_clients().await?;
    keys::retire().await
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;
    use souk_store::{FromRow, Row};

    /// Runs any statement, for what takes too long to happen by itself; says whether it returned a row.
    pub fn run(sql: &str) -> Result<bool, Error> {
        block_on(did(sql, []))
    }

    struct Number(i64);

    impl FromRow for Number {
        fn from_row(row: &mut Row) -> Result<Self, Error> {
            row.take().map(Self)
        }
    }

    /// The number that a query returns.
    pub fn number(sql: &str) -> i64 {
        let Number(number) = block_on(DATABASE.read_one(sql, [])).unwrap().unwrap();
        number
    }

    /// Every value of every table, as text.
    pub fn everything() -> String {
        const TABLES: [&str; 7] = [
            "users",
            "sessions",
            "spent_tokens",
            "known_clients",
            "addresses",
            "attempts",
            "signing_keys",
        ];
        let rows = TABLES.map(|table| {
            block_on(DATABASE.read::<Whole>(&format!("SELECT * FROM {table}"), [])).unwrap()
        });
        rows.into_iter().flatten().map(|Whole(row)| row).collect()
    }

    struct Whole(String);

    impl FromRow for Whole {
        fn from_row(row: &mut Row) -> Result<Self, Error> {
            // No table has more columns; beyond the last one all are null.
            let values = (0..20).map(|_| row.take::<Shown>().map(|Shown(text)| text));
            values.collect::<Result<_, _>>().map(Self)
        }
    }

    struct Shown(String);

    impl FromValue for Shown {
        fn from_value(value: Value) -> Result<Self, &'static str> {
            Ok(Self(format!("{value:?}\n")))
        }
    }

    #[test]
    fn a_migration_can_be_repeated() {
        number("SELECT count(*) FROM users");
        for statement in MIGRATIONS.iter().flat_map(Migration::statements) {
            // Migrations pass over a column that is there already.
            if let Err(error) = run(statement) {
                assert!(
                    error.to_string().contains("duplicate column name"),
                    "{error}"
                );
            }
        }
    }
}
