//! What can go wrong with a database.

use spin_sdk::sqlite;

/// Why a statement did not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another writer held the database for longer than the busy timeout; trying again later helps.
    #[error("the database is busy")]
    Busy,
    /// A constraint or trigger refused the change; SQLite's message, which [names](Error::violates) it.
    #[error("{0}")]
    Constraint(String),
    /// The database or its disk is full.
    #[error("the database is full")]
    Full,
    /// The manifest or runtime configuration does not give the service this database.
    #[error("the service has no such database: {0}")]
    NotGranted(&'static str),
    /// A row does not have the columns its type expects.
    #[error("column {column} is not {expected}")]
    Column {
        /// Which column, from 1.
        column: usize,
        /// What the type expects.
        expected: &'static str,
    },
    /// Anything else SQLite says.
    #[error("{0}")]
    Sql(String),
}

impl Error {
    /// Whether the error is the violation of this constraint: `table.column` of a UNIQUE or NOT NULL, or the name of a CHECK.
    pub fn violates(&self, constraint: &str) -> bool {
        let Self::Constraint(message) = self else {
            return false;
        };
        let named = message
            .split_once("constraint failed: ")
            .map_or("", |(_, names)| names);
        named.split([',', ' ']).any(|name| name == constraint)
    }

    /// Whether the error is a reference to something that is not there. SQLite does not say which.
    pub fn violates_foreign_key(&self) -> bool {
        matches!(self, Self::Constraint(message) if message.starts_with("FOREIGN KEY"))
    }
}

impl From<sqlite::Error> for Error {
    fn from(error: sqlite::Error) -> Self {
        match error {
            sqlite::Error::NoSuchDatabase => {
                Self::NotGranted("it is not in the runtime configuration")
            }
            sqlite::Error::AccessDenied => Self::NotGranted("its manifest does not grant it"),
            sqlite::Error::DatabaseFull => Self::Full,
            sqlite::Error::InvalidConnection => Self::Sql("the connection is closed".into()),
            sqlite::Error::Io(message) => from_message(message),
        }
    }
}

/// `spin:sqlite` passes on SQLite's message and not its code.
fn from_message(message: String) -> Error {
    if message.contains("constraint failed") {
        Error::Constraint(message)
    } else if message.contains("database is locked") || message.contains("database table is locked")
    {
        Error::Busy
    } else if message.contains("database or disk is full") {
        Error::Full
    } else {
        Error::Sql(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io(message: &str) -> Error {
        sqlite::Error::Io(message.into()).into()
    }

    #[test]
    fn constraints_are_known_by_name() {
        let unique = io("UNIQUE constraint failed: products.sku");
        assert!(unique.violates("products.sku"));
        assert!(!unique.violates("sku"));
        assert!(!unique.violates("products.skus"));
        assert!(io("UNIQUE constraint failed: t.a, t.b").violates("t.b"));
        assert!(io("CHECK constraint failed: price_positive").violates("price_positive"));
        assert!(io("CHECK constraint failed: price_positive in INSERT").violates("price_positive"));
        assert!(!io("no such table: products.sku").violates("products.sku"));
    }

    #[test]
    fn messages_become_kinds() {
        assert_eq!(io("database is locked"), Error::Busy);
        assert_eq!(io("database or disk is full"), Error::Full);
        assert_eq!(
            io("no such table: x"),
            Error::Sql("no such table: x".into())
        );
    }
}
