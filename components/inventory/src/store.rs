//! Every SQL statement of the service.
//!
//! What moves stock is one INSERT or UPDATE of `stock` or `reservations`; the triggers of the migration do the rest within it, so
//! each operation takes the write lock once and is flushed to the disk once.

use std::collections::BTreeMap;

use souk_chassis::page::Part;
use souk_events::Outbox;
use souk_store::{Database, Error, FromRow, FromValue, Migration, Row, Value, Word, json, text};
use uuid::Uuid;

use crate::domain::{
    Adjustment, Audit, Entry, Hold, Level, Line, Mismatch, NewReservation, Reservation,
};

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_inventory",
        sql: include_str!("../migrations/0001_inventory.sql"),
    },
    souk_events::MIGRATION,
    Migration {
        name: "0002_events",
        sql: include_str!("../migrations/0002_events.sql"),
    },
];

static DATABASE: Database = Database::new("inventory", MIGRATIONS);

/// What the triggers write for others to know.
pub static OUTBOX: Outbox = Outbox::new("inventory", MIGRATIONS);

/// The present time, as all times are written.
macro_rules! now {
    () => {
        "strftime('%Y-%m-%dT%H:%M:%fZ')"
    };
}

/// What makes an open reservation one whose stock is to be freed.
macro_rules! due {
    () => {
        concat!("state = 'open' AND expires_at <= ", now!())
    };
}

/// The columns of a [`Level`].
macro_rules! level {
    () => {
        "product_id, on_hand, reserved"
    };
}

/// The columns of a [`Reservation`]. One that is due has expired, whether its stock has been freed yet or not.
macro_rules! reservation {
    () => {
        concat!(
            "order_id, CASE WHEN ",
            due!(),
            " THEN 'expired' ELSE state END, lines, expires_at"
        )
    };
}

impl FromRow for Level {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self::new(row.take()?, row.take()?, row.take()?))
    }
}

impl FromRow for Reservation {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            order_id: row.take()?,
            state: row.take::<Word<_>>()?.0,
            lines: row.take::<Lines>()?.0,
            expires_at: row.take()?,
        })
    }
}

/// Lines as they are kept: a JSON object of quantities by product.
struct Lines(Vec<Line>);

impl FromValue for Lines {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        let text = String::from_value(value)?;
        let quantities: BTreeMap<_, _> =
            serde_json::from_str(&text).map_err(|_| "quantities by product")?;
        let line = |(product_id, quantity)| Line {
            product_id,
            quantity,
        };
        Ok(Self(quantities.into_iter().map(line).collect()))
    }
}

/// Something that is there.
struct There;

impl FromRow for There {
    fn from_row(_: &mut Row) -> Result<Self, Error> {
        Ok(Self)
    }
}

/// Whether a change was refused because there is not enough stock.
pub fn is_short(error: &Error) -> bool {
    error.violates("never_oversold") || error.violates("stock_is_kept")
}

/// A level, and whether reservations that are due may hold some of it.
struct Seen {
    level: Level,
    may_be_due: bool,
}

impl FromRow for Seen {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            level: Level::from_row(row)?,
            may_be_due: row.take()?,
        })
    }
}

/// The beginning of a statement that reads what [`Seen`] is.
macro_rules! select_seen {
    () => {
        concat!(
            "SELECT ",
            level!(),
            ", reserved > 0 AND EXISTS (SELECT 1 FROM reservations WHERE ",
            due!(),
            ") FROM stock "
        )
    };
}

const LEVELS_OF: &str = concat!(
    select_seen!(),
    "WHERE product_id IN (SELECT value FROM json_each(?1)) ORDER BY product_id"
);

const LEVELS: &str = concat!(
    select_seen!(),
    "WHERE product_id > ?1 AND (?2 IS NULL OR on_hand - reserved < ?2) ORDER BY product_id LIMIT ?3"
);

/// The level of a product, if stock of it is kept.
pub async fn level(product_id: Uuid) -> Result<Option<Level>, Error> {
    Ok(levels_of(&[product_id]).await?.pop())
}

/// The levels of those of these products of which stock is kept.
pub async fn levels_of(product_ids: &[Uuid]) -> Result<Vec<Level>, Error> {
    fresh_levels(LEVELS_OF, &[json(&product_ids)]).await
}

/// Levels in the order of the products' ids: so many after this one with fewer available than `below`.
pub async fn levels(
    after: Option<Uuid>,
    below: Option<i64>,
    limit: i64,
) -> Result<Vec<Level>, Error> {
    let after = after.map_or(String::new(), |id| id.to_string());
    fresh_levels(LEVELS, &[after.into(), below.into(), limit.into()]).await
}

/// Reads levels. Where reservations that are due may hold some of it, that is freed first, so that a shop without a ticker does
/// not show as sold out what nobody holds any longer.
async fn fresh_levels(sql: &str, parameters: &[Value]) -> Result<Vec<Level>, Error> {
    let mut seen: Vec<Seen> = DATABASE.read(sql, parameters.to_vec()).await?;
    // Where it cannot be freed at the moment, the reader is told what holds now.
    if seen.iter().any(|seen| seen.may_be_due) && matches!(free_due().await, Ok(true)) {
        seen = DATABASE.read(sql, parameters.to_vec()).await?;
    }
    Ok(seen.into_iter().map(|seen| seen.level).collect())
}

/// Sets what is on hand; [short](is_short) where that is less than is reserved. `None` where it was so before.
pub async fn set(product_id: Uuid, on_hand: i64) -> Result<Option<Level>, Error> {
    const SQL: &str = concat!(
        "INSERT INTO stock (product_id, on_hand, last_kind) VALUES (?1, ?2, 'set') ",
        "ON CONFLICT (product_id) DO UPDATE SET on_hand = excluded.on_hand, version = version + 1, ",
        "updated_at = excluded.updated_at, last_kind = 'set', last_order_id = NULL, last_reason = NULL, last_key = NULL ",
        "WHERE on_hand <> excluded.on_hand RETURNING ",
        level!()
    );
    DATABASE
        .write_one(SQL, [text(product_id), on_hand.into()])
        .await
}

/// Keeps stock of a product from now on, of which there is nothing yet; changes nothing where stock is kept already.
pub async fn begin(product_id: Uuid) -> Result<(), Error> {
    const SQL: &str = "INSERT INTO stock (product_id, on_hand, last_kind, last_reason) VALUES (?1, 0, 'set', 'new product') \
                       ON CONFLICT (product_id) DO NOTHING RETURNING 1";
    DATABASE
        .write_one::<There>(SQL, [text(product_id)])
        .await
        .map(drop)
}

/// Changes what is on hand; [short](is_short) where less than is reserved would stay. `None` where no stock is kept of the product,
/// or the key has been used for it.
pub async fn adjust(
    product_id: Uuid,
    adjustment: &Adjustment,
    key: Option<&str>,
) -> Result<Option<Level>, Error> {
    const SQL: &str = concat!(
        "UPDATE stock SET on_hand = on_hand + ?2, version = version + 1, updated_at = ",
        now!(),
        ", last_kind = 'adjusted', last_order_id = NULL, last_reason = ?3, last_key = ?4 WHERE product_id = ?1 ",
        "AND NOT EXISTS (SELECT 1 FROM ledger WHERE product_id = ?1 AND idempotency_key = ?4) RETURNING ",
        level!()
    );
    let parameters = [
        text(product_id),
        adjustment.delta.into(),
        adjustment.reason.as_str().into(),
        key.into(),
    ];
    DATABASE.write_one(SQL, parameters).await
}

/// The adjustment that was made of a product under this key.
pub async fn adjustment(product_id: Uuid, key: &str) -> Result<Option<Adjustment>, Error> {
    const SQL: &str =
        "SELECT on_hand_change, reason FROM ledger WHERE product_id = ?1 AND idempotency_key = ?2";
    DATABASE.read_one(SQL, [text(product_id), key.into()]).await
}

impl FromRow for Adjustment {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            delta: row.take()?,
            reason: row.take()?,
        })
    }
}

const LEDGER: &str = "SELECT version, kind, on_hand_change, reserved_change, on_hand, reserved, order_id, reason, at \
    FROM ledger WHERE product_id = ?1 AND version < ?2 ORDER BY version DESC LIMIT ?3";

/// Movements of a product, newest first; one more than asked for where more follow.
pub async fn ledger(product_id: Uuid, part: &Part<i64>) -> Result<Vec<Entry>, Error> {
    let before = part.after.unwrap_or(i64::MAX);
    DATABASE
        .read(
            LEDGER,
            [text(product_id), before.into(), (part.limit + 1).into()],
        )
        .await
}

impl FromRow for Entry {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            version: row.take()?,
            kind: row.take::<Word<_>>()?.0,
            on_hand_change: row.take()?,
            reserved_change: row.take()?,
            on_hand: row.take()?,
            reserved: row.take()?,
            order_id: row.take()?,
            reason: row.take()?,
            at: row.take()?,
        })
    }
}

/// Reads the open reservations alone, which are few however many orders there were.
const HOLDS: &str = "SELECT order_id, line.value, expires_at \
    FROM reservations INDEXED BY reservations_due, json_each(reservations.lines) AS line \
    WHERE state = 'open' AND line.key = ?1 AND (expires_at, order_id) > (?2, ?3) ORDER BY expires_at, order_id LIMIT ?4";

/// What open reservations hold of a product, those first that end first; one more than asked for where more follow.
pub async fn holds(product_id: Uuid, part: &Part<(String, String)>) -> Result<Vec<Hold>, Error> {
    let (expires_at, order) = part.after.clone().unwrap_or_default();
    let parameters = [
        text(product_id),
        expires_at.as_str().into(),
        order.as_str().into(),
        (part.limit + 1).into(),
    ];
    DATABASE.read(HOLDS, parameters).await
}

impl FromRow for Hold {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            order_id: row.take()?,
            quantity: row.take()?,
            expires_at: row.take()?,
        })
    }
}

/// A reservation that has just been made or taken again.
pub struct Reserved {
    pub reservation: Reservation,
    /// Whether it was made.
    pub new: bool,
}

impl FromRow for Reserved {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            reservation: Reservation::from_row(row)?,
            new: row.take()?,
        })
    }
}

/// Reserves all lines for an order, or fails, [short](is_short) where there is not enough of one. An expired reservation of the
/// same lines is taken again. `None` where there is another one.
pub async fn reserve(order_id: Uuid, new: &NewReservation) -> Result<Option<Reserved>, Error> {
    const SQL: &str = concat!(
        "INSERT INTO reservations (order_id, lines, expires_at) ",
        "VALUES (?1, ?2, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?3 || ' seconds')) ",
        "ON CONFLICT (order_id) DO UPDATE SET state = 'open', expires_at = excluded.expires_at, version = version + 1 ",
        "WHERE lines = excluded.lines AND state IN ('open', 'expired') AND expires_at <= ",
        now!(),
        " RETURNING ",
        reservation!(),
        ", version = 1"
    );
    let lines: BTreeMap<_, _> = new
        .lines
        .iter()
        .map(|line| (line.product_id, line.quantity))
        .collect();
    let parameters = [text(order_id), json(&lines), new.expires_in.into()];
    DATABASE.write_one(SQL, parameters).await
}

/// Takes what an order holds off the stock. Where it has expired this takes it anew, or fails, [short](is_short) where there is
/// not enough of it. `None` where there is nothing to commit.
pub async fn commit(order_id: Uuid) -> Result<Option<Reservation>, Error> {
    const SQL: &str = concat!(
        "UPDATE reservations SET state = 'committed', version = version + 1 ",
        "WHERE order_id = ?1 AND state IN ('open', 'expired') RETURNING ",
        reservation!()
    );
    DATABASE.write_one(SQL, [text(order_id)]).await
}

/// Gives back what an order holds or has taken, and leaves a tombstone where it has reserved nothing yet.
pub async fn release(order_id: Uuid) -> Result<Reservation, Error> {
    const SQL: &str = concat!(
        "INSERT INTO reservations (order_id, state, lines, expires_at) VALUES (?1, 'released', '{}', ",
        now!(),
        ") ON CONFLICT (order_id) DO UPDATE SET state = 'released', version = version + 1 RETURNING ",
        reservation!()
    );
    let released = DATABASE.write_one(SQL, [text(order_id)]).await?;
    released.ok_or_else(|| Error::Sql("INSERT returned no row".into()))
}

/// What an order holds or held.
pub async fn reservation(order_id: Uuid) -> Result<Option<Reservation>, Error> {
    const SQL: &str = concat!(
        "SELECT ",
        reservation!(),
        " FROM reservations WHERE order_id = ?1"
    );
    DATABASE.read_one(SQL, [text(order_id)]).await
}

const A_DUE_ONE: &str = concat!("SELECT 1 FROM reservations WHERE ", due!(), " LIMIT 1");

/// A hundred at a time, so that the write lock is held for a few milliseconds however many are due.
const FREE_DUE: &str = concat!(
    "UPDATE reservations SET state = 'expired', version = version + 1 WHERE order_id IN ",
    "(SELECT order_id FROM reservations WHERE ",
    due!(),
    " ORDER BY expires_at LIMIT 100) RETURNING 1"
);

/// Frees what up to a hundred reservations hold that are due. Says whether there were any: then there may be more.
pub async fn free_due() -> Result<bool, Error> {
    // Mostly there is none, and to read takes no lock.
    if DATABASE.read_one::<There>(A_DUE_ONE, []).await?.is_none() {
        return Ok(false);
    }
    Ok(DATABASE.write_one::<There>(FREE_DUE, []).await?.is_some())
}

/// Recomputes every level from the ledger and from the open reservations.
pub async fn audit() -> Result<Audit, Error> {
    const MISMATCHES: &str = "WITH \
        books AS (SELECT product_id, sum(on_hand_change) AS on_hand, sum(reserved_change) AS reserved, count(*) AS entries \
            FROM ledger GROUP BY product_id), \
        holds AS (SELECT line.key AS product_id, sum(line.value) AS held \
            FROM reservations, json_each(reservations.lines) AS line WHERE state = 'open' GROUP BY line.key), \
        compared AS (SELECT product_id, stock.on_hand, stock.reserved, version, \
            coalesce(books.on_hand, 0) AS book_on_hand, coalesce(books.reserved, 0) AS book_reserved, \
            coalesce(entries, 0) AS entries, coalesce(held, 0) AS held \
            FROM stock LEFT JOIN books USING (product_id) LEFT JOIN holds USING (product_id)) \
        SELECT * FROM compared \
        WHERE (on_hand, reserved, reserved, version) <> (book_on_hand, book_reserved, held, entries) \
        ORDER BY product_id LIMIT 100";
    let count: Option<Count> = DATABASE.read_one("SELECT count(*) FROM stock", []).await?;
    Ok(Audit {
        products: count.map_or(0, |Count(products)| products),
        mismatches: DATABASE.read(MISMATCHES, []).await?,
    })
}

struct Count(i64);

impl FromRow for Count {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self(row.take()?))
    }
}

impl FromRow for Mismatch {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            product_id: row.take()?,
            on_hand: row.take()?,
            reserved: row.take()?,
            movements: row.take()?,
            ledger_on_hand: row.take()?,
            ledger_reserved: row.take()?,
            ledger_entries: row.take()?,
            held: row.take()?,
        })
    }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;

    /// Runs a statement that no handler would; its first row's first column as text.
    pub fn run(sql: &str) -> Result<Option<String>, Error> {
        let row: Option<Text> = block_on(DATABASE.write_one(sql, []))?;
        Ok(row.and_then(|Text(text)| text))
    }

    struct Text(Option<String>);

    impl FromRow for Text {
        fn from_row(row: &mut Row) -> Result<Self, Error> {
            Ok(Self(row.take()?))
        }
    }

    /// How SQLite goes about a statement that has so many parameters.
    fn plan(sql: &str, parameters: usize) -> Vec<String> {
        block_on(DATABASE.plan(sql, vec![Value::Null; parameters])).unwrap()
    }

    #[test]
    fn what_a_sale_needs_is_found_by_an_index() {
        let due = "SEARCH reservations USING COVERING INDEX reservations_due (expires_at<?)";
        let stock = "SEARCH stock USING PRIMARY KEY (product_id=?)";
        assert_eq!(plan(A_DUE_ONE, 0), [due]);
        for (sql, parameters, step) in [
            (FREE_DUE, 0, due),
            (
                FREE_DUE,
                0,
                "SEARCH reservations USING PRIMARY KEY (order_id=?)",
            ),
            (LEVELS_OF, 1, due),
            (LEVELS_OF, 1, stock),
            (LEVELS, 3, "SEARCH stock USING PRIMARY KEY (product_id>?)"),
            (
                LEDGER,
                3,
                "SEARCH ledger USING PRIMARY KEY (product_id=? AND version<?)",
            ),
            (
                HOLDS,
                4,
                "SEARCH reservations USING INDEX reservations_due ((expires_at,order_id)>(?,?))",
            ),
        ] {
            let plan = plan(sql, parameters);
            assert!(
                plan.iter().any(|planned| planned == step),
                "{step}: {plan:?}"
            );
        }
    }

    /// The plan of a trigger cannot be asked for, so this takes the statement out of it.
    #[test]
    fn a_reservation_looks_up_the_stock_of_each_line() {
        let trigger = MIGRATIONS[0]
            .statements()
            .find(|statement| statement.contains("TRIGGER IF NOT EXISTS reservation_made"));
        let (_, update) = trigger.unwrap().split_once("    UPDATE").unwrap();
        let update = update
            .trim_end_matches("END;")
            .replace("new.lines", "'{}'")
            .replace("new.order_id", "''");
        let plan = plan(&format!("UPDATE {update}"), 0);
        assert!(plan[0].starts_with("SCAN line VIRTUAL TABLE"), "{plan:?}");
        assert_eq!(plan[1], "SEARCH stock USING PRIMARY KEY (product_id=?)");
    }

    #[test]
    fn a_migration_can_be_repeated() {
        block_on(audit()).unwrap();
        for statement in MIGRATIONS.iter().flat_map(Migration::statements) {
            run(statement).unwrap();
        }
    }
}
