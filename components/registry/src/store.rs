//! Every SQL statement of the service.
//!
//! Each change is one statement; triggers take an address away from who had it before, and count up the revision.

use souk_store::{Database, Error, FromRow, Migration, Row, Synchronous, Value, Word, json, word};

use crate::domain::{Condition, Instance, Registration, Target};

const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_registry",
    sql: include_str!("../migrations/0001_registry.sql"),
}];

/// What a power cut may take from it, the next renewals bring again.
static DATABASE: Database = Database::new("registry", MIGRATIONS).synchronous(Synchronous::Normal);

/// The present time, as all times are written.
macro_rules! now {
    () => {
        "strftime('%Y-%m-%dT%H:%M:%fZ')"
    };
}

/// A time before or after the present one.
macro_rules! now_and {
    ($how_much:literal) => {
        concat!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '", $how_much, "')")
    };
}

/// Whose lease is over without its watchers having been told.
macro_rules! to_lapse {
    () => {
        concat!("lapsed = 0 AND expires_at <= ", now!())
    };
}

/// Who is gone for so long that nobody asks any more.
macro_rules! to_forget {
    () => {
        concat!("lapsed = 1 AND expires_at <= ", now_and!("-10 minutes"))
    };
}

/// Who is to be asked how it is.
macro_rules! to_probe {
    () => {
        concat!("lapsed = 0 AND probe_at <= ", now!())
    };
}

/// The columns of an [`Instance`].
macro_rules! instance {
    () => {
        concat!(
            "service, id, address, incarnation, iif(expires_at <= ",
            now!(),
            ", 'expired', health), registered_at, renewed_at, expires_at, probed_at"
        )
    };
}

impl FromRow for Instance {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            service: row.take()?,
            id: row.take()?,
            address: row.take()?,
            incarnation: row.take()?,
            state: row.take::<Word<_>>()?.0,
            registered_at: row.take()?,
            renewed_at: row.take()?,
            expires_at: row.take()?,
            probed_at: row.take()?,
        })
    }
}

/// An instance that has just been registered or renewed.
pub struct Registered {
    pub instance: Instance,
    /// Whether it was not known before.
    pub new: bool,
}

impl FromRow for Registered {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            instance: Instance::from_row(row)?,
            new: row.take()?,
        })
    }
}

/// Registers an instance or renews its lease. What is known of its health stays as long as it is the same run of it at the same
/// address.
pub async fn register(
    service: &str,
    id: &str,
    registration: &Registration,
) -> Result<Registered, Error> {
    const SQL: &str = concat!(
        "INSERT INTO instances AS old (service, id, address, incarnation, expires_at) ",
        "VALUES (?1, ?2, ?3, ?4, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?5 || ' seconds')) ",
        "ON CONFLICT (service, id) DO UPDATE SET address = excluded.address, incarnation = excluded.incarnation, ",
        "renewals = renewals + 1, lapsed = 0, renewed_at = excluded.renewed_at, expires_at = excluded.expires_at, ",
        "(health, failures, registered_at, probed_at, probe_at) = (",
        "SELECT old.health, old.failures, old.registered_at, old.probed_at, old.probe_at ",
        "WHERE (old.address, old.incarnation) = (excluded.address, excluded.incarnation) ",
        "UNION ALL SELECT 'up', 0, excluded.registered_at, NULL, excluded.probe_at LIMIT 1) RETURNING ",
        instance!(),
        ", renewals = 0"
    );
    let parameters = [
        service.into(),
        id.into(),
        registration.address.as_str().into(),
        registration.incarnation.as_str().into(),
        registration.lease_seconds.into(),
    ];
    let registered = DATABASE.write_one(SQL, parameters).await?;
    registered.ok_or_else(|| Error::Sql("INSERT returned no row".into()))
}

/// Takes an instance out, if it is there.
pub async fn remove(service: &str, id: &str) -> Result<(), Error> {
    const SQL: &str = "DELETE FROM instances WHERE service = ?1 AND id = ?2";
    DATABASE
        .write::<()>(SQL, [service.into(), id.into()])
        .await
        .map(drop)
}

/// How far services are.
pub struct Seen {
    /// When something has last changed.
    pub revision: i64,
    /// Whether there is something to [settle], which is a change not counted yet.
    pub is_overdue: bool,
}

impl FromRow for Seen {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            revision: row.take()?,
            is_overdue: row.take()?,
        })
    }
}

macro_rules! select_seen {
    ($which:literal) => {
        concat!(
            "SELECT coalesce(max(revision), 0), EXISTS (SELECT 1 FROM instances WHERE ",
            to_lapse!(),
            ") OR EXISTS (SELECT 1 FROM instances WHERE ",
            to_forget!(),
            ") FROM revisions",
            $which
        )
    };
}

const SEEN: &str = select_seen!("");

const SEEN_OF: &str = select_seen!(" WHERE service IN (SELECT value FROM json_each(?1))");

/// The revision of these services, or of all where none is named.
pub async fn revision(services: &[String]) -> Result<Seen, Error> {
    let seen = match services {
        [] => DATABASE.read_one(SEEN, []).await?,
        services => DATABASE.read_one(SEEN_OF, [json(services)]).await?,
    };
    seen.ok_or_else(|| Error::Sql("an aggregate returned no row".into()))
}

const INSTANCES: &str = concat!(
    "SELECT ",
    instance!(),
    " FROM instances ORDER BY service, id"
);

const INSTANCES_OF: &str = concat!(
    "SELECT ",
    instance!(),
    " FROM instances WHERE service IN (SELECT value FROM json_each(?1)) ORDER BY service, id"
);

/// The instances of these services, or of all where none is named.
pub async fn instances(services: &[String]) -> Result<Vec<Instance>, Error> {
    match services {
        [] => DATABASE.read(INSTANCES, []).await,
        services => DATABASE.read(INSTANCES_OF, [json(services)]).await,
    }
}

const LAPSE: &str = concat!("UPDATE instances SET lapsed = 1 WHERE ", to_lapse!());

const FORGET: &str = concat!("DELETE FROM instances WHERE ", to_forget!());

/// Notes down whose lease is over, so that watchers are told, and forgets who is long gone.
pub async fn settle() -> Result<(), Error> {
    // Mostly there is nothing, and to read takes no lock.
    if !revision(&[]).await?.is_overdue {
        return Ok(());
    }
    DATABASE.write::<()>(LAPSE, []).await?;
    DATABASE.write::<()>(FORGET, []).await.map(drop)
}

const ONE_TO_PROBE: &str = concat!("SELECT 1 FROM instances WHERE ", to_probe!(), " LIMIT 1");

/// The claim holds for five times as long as a probe takes.
const CLAIM: &str = concat!(
    "UPDATE instances SET probe_at = ",
    now_and!("+5 seconds"),
    " WHERE (service, id) IN (SELECT service, id FROM instances WHERE ",
    to_probe!(),
    " ORDER BY probe_at LIMIT ?1) RETURNING service, id, address, health, failures, probe_at"
);

impl FromRow for Target {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            service: row.take()?,
            id: row.take()?,
            address: row.take()?,
            condition: Condition {
                health: row.take::<Word<_>>()?.0,
                failures: row.take()?,
            },
            claimed_until: row.take()?,
        })
    }
}

/// Claims up to so many instances that are to be probed.
pub async fn claim(limit: i64) -> Result<Vec<Target>, Error> {
    if DATABASE.read_one::<()>(ONE_TO_PROBE, []).await?.is_none() {
        return Ok(Vec::new());
    }
    DATABASE.write(CLAIM, [limit.into()]).await
}

/// Writes down what came of a probe, where the claim still holds. The next one is due two seconds later.
pub async fn probed(target: &Target, condition: Condition) -> Result<(), Error> {
    const SQL: &str = concat!(
        "UPDATE instances SET health = ?4, failures = ?5, probed_at = ",
        now!(),
        ", probe_at = ",
        now_and!("+2 seconds"),
        " WHERE service = ?1 AND id = ?2 AND probe_at = ?3"
    );
    let parameters: [Value; 5] = [
        target.service.as_str().into(),
        target.id.as_str().into(),
        target.claimed_until.as_str().into(),
        word(&condition.health),
        condition.failures.into(),
    ];
    DATABASE.write::<()>(SQL, parameters).await.map(drop)
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::FutureExt;
    use futures::executor::block_on;
    use souk_store::Column;

    /// Runs a statement that no handler would; its first row's first column as text.
    pub fn run(sql: &str) -> Result<Option<String>, Error> {
        // Not by an executor, so that it can be done where something runs already: the native connection never waits.
        let row = DATABASE.write_one(sql, []).now_or_never().unwrap()?;
        let row: Option<Column<Option<String>>> = row;
        Ok(row.and_then(|Column(text)| text))
    }

    /// How SQLite goes about a statement that has so many parameters.
    fn plan(sql: &str, parameters: usize) -> Vec<String> {
        block_on(DATABASE.plan(sql, vec![Value::Null; parameters])).unwrap()
    }

    #[test]
    fn who_waits_looks_along_indexes() {
        for (sql, parameters, step) in [
            (
                SEEN,
                0,
                "SEARCH instances USING COVERING INDEX instances_to_lapse (expires_at<?)",
            ),
            (
                SEEN,
                0,
                "SEARCH instances USING COVERING INDEX instances_to_forget (expires_at<?)",
            ),
            (
                SEEN,
                0,
                "SEARCH revisions USING COVERING INDEX revisions_in_order",
            ),
            (SEEN_OF, 1, "SEARCH revisions USING PRIMARY KEY (service=?)"),
            (
                INSTANCES_OF,
                1,
                "SEARCH instances USING PRIMARY KEY (service=?)",
            ),
            (
                ONE_TO_PROBE,
                0,
                "SEARCH instances USING COVERING INDEX instances_to_probe (probe_at<?)",
            ),
            (
                LAPSE,
                0,
                "SEARCH instances USING INDEX instances_to_lapse (expires_at<?)",
            ),
            (
                FORGET,
                0,
                "SEARCH instances USING INDEX instances_to_forget (expires_at<?)",
            ),
        ] {
            let plan = plan(sql, parameters);
            assert!(
                plan.iter().any(|planned| planned == step),
                "{step}: {plan:?}"
            );
        }
    }

    #[test]
    fn a_migration_can_be_repeated() {
        block_on(settle()).unwrap();
        for statement in MIGRATIONS.iter().flat_map(Migration::statements) {
            run(statement).unwrap();
        }
    }

    #[test]
    fn health_is_one_of_the_known_words() {
        let insert = "INSERT INTO instances (service, id, address, incarnation, health, expires_at) \
                      VALUES ('a', 'b', 'c', 'd', 'well', '2030')";
        assert!(run(insert).unwrap_err().violates("health_is_known"));
    }
}
