//! Every SQL statement of the service.

pub mod ops;

use souk_chassis::Money;
use souk_events::Outbox;
use souk_store::{Column, Database, Error, FromRow, Json, Migration, Row, Value, Word, json, word};

use crate::background::checkpoint;
use crate::domain::ops::first_id;
use crate::domain::saga::{Event, Held, Saga, Step};
use crate::domain::{CardSummary, Filter, HistoryEntry, Order, Shipment};

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_orders",
        sql: include_str!("../migrations/0001_orders.sql"),
    },
    souk_events::MIGRATION,
    Migration {
        name: "0002_events",
        sql: include_str!("../migrations/0002_events.sql"),
    },
    Migration {
        name: "0003_under_way",
        sql: include_str!("../migrations/0003_under_way.sql"),
    },
    Migration {
        name: "0004_operators",
        sql: include_str!("../migrations/0004_operators.sql"),
    },
    Migration {
        name: "0005_traces",
        sql: include_str!("../migrations/0005_traces.sql"),
    },
];

static DATABASE: Database = Database::new("orders", MIGRATIONS);

/// What the triggers write for others to know. What comes of placing an order belongs to the trace of that request, who else's it is that
/// publishes it; what becomes of the order days later does not.
pub static OUTBOX: Outbox = Outbox::new("orders", MIGRATIONS).traced_by(
    "iif(type IN ('order.placed', 'order.confirmed', 'order.rejected'), \
     (SELECT traceparent FROM orders WHERE orders.id = outbox.subject), NULL)",
);

/// The columns of an [`Order`], in the order it is read.
macro_rules! order {
    () => {
        "orders.id, orders.user_id, orders.request_hash, orders.status, orders.reason, orders.details, orders.items, \
         orders.total_amount, orders.currency, orders.shipping_address, orders.card_brand, orders.card_last4, \
         orders.carrier, orders.tracking, orders.created_at, orders.answer_status, orders.step, orders.attempt, \
         orders.lease, orders.due_at, orders.give_up_at, orders.payment_token, orders.cart_version, orders.refunded, orders.request_id, \
         orders.traceparent"
    };
}

/// What follows [`order!`] where its history is read as well.
macro_rules! history {
    () => {
        "(SELECT json_group_array(json_object('seq', seq, 'status', status, 'at', at, 'reason', reason)) FROM \
         (SELECT seq, status, at, reason FROM order_history WHERE order_id = orders.id ORDER BY seq))"
    };
}

impl FromRow for Order {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.take()?,
            user_id: row.take()?,
            request_hash: row.take()?,
            status: row.take::<Word<_>>()?.0,
            reason: row.take::<Option<Word<_>>>()?.map(|Word(reason)| reason),
            details: row.take::<Json<_>>()?.0,
            lines: row.take::<Json<_>>()?.0,
            total: money(row.take()?, row.take()?),
            shipping_address: row.take::<Json<_>>()?.0,
            card: CardSummary {
                brand: row.take()?,
                last4: row.take()?,
            },
            shipment: shipment(row.take()?, row.take()?),
            created_at: row.take()?,
            answer_status: row
                .take::<Option<i64>>()?
                .and_then(|status| status.try_into().ok()),
            saga: Saga {
                step: row.take::<Word<_>>()?.0,
                attempt: row.take()?,
                lease: row.take()?,
                due_at: row.take()?,
                give_up_at: row.take()?,
                payment_token: row.take()?,
                cart_version: row.take()?,
            },
            refunded: row.take()?,
            request_id: row.take()?,
            traceparent: row.take()?,
            history: row
                .take::<Option<Json<_>>>()?
                .map(|Json(history)| history)
                .unwrap_or_default(),
        })
    }
}

fn money(amount: Option<i64>, currency: Option<String>) -> Option<Money> {
    Some(Money {
        amount: amount?,
        currency: currency?,
    })
}

fn shipment(carrier: Option<String>, tracking: Option<String>) -> Option<Shipment> {
    Some(Shipment {
        carrier: carrier?,
        tracking: tracking?,
    })
}

async fn write<T: FromRow>(
    sql: &str,
    parameters: impl IntoIterator<Item = Value>,
) -> Result<Option<T>, Error> {
    checkpoint().await;
    let written = DATABASE.write_one(sql, parameters).await;
    checkpoint().await;
    written
}

/// Inserts a new order, unless the user has one with this key, or one of this cart is under way; says whether it did.
pub async fn insert(order: &Order, key: &str, events: &[Event]) -> Result<bool, Error> {
    const SQL: &str = "INSERT INTO orders (id, user_id, idempotency_key, request_hash, items, total_amount, currency, \
                       shipping_address, card_brand, card_last4, payment_token, cart_version, step, attempt, lease, due_at, \
                       give_up_at, saga_events, request_id, traceparent) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20) \
                       ON CONFLICT (user_id, idempotency_key) DO NOTHING \
                       ON CONFLICT (user_id, cart_version) WHERE step <> 'done' DO NOTHING RETURNING 1";
    let saga = &order.saga;
    let parameters = [
        order.id.as_str().into(),
        order.user_id.as_str().into(),
        key.into(),
        order.request_hash.as_str().into(),
        json(&order.lines),
        order.total.as_ref().map(|total| total.amount).into(),
        order
            .total
            .as_ref()
            .map(|total| total.currency.as_str())
            .into(),
        json(&order.shipping_address),
        order.card.brand.as_str().into(),
        order.card.last4.as_str().into(),
        saga.payment_token.as_deref().into(),
        saga.cart_version.into(),
        word(&saga.step),
        saga.attempt.into(),
        saga.lease.as_deref().into(),
        saga.due_at.into(),
        saga.give_up_at.into(),
        json(&events),
        order.request_id.as_deref().into(),
        order.traceparent.as_deref().into(),
    ];
    Ok(write::<()>(SQL, parameters).await?.is_some())
}

/// Writes what has become of an order, if its row still says what it said; says whether it did.
///
/// The answer to the request that placed it is decided once.
pub async fn save(order: &Order, held: &Held, events: &[Event]) -> Result<bool, Error> {
    const SQL: &str = "UPDATE orders SET status = ?5, reason = ?6, details = ?7, items = ?8, total_amount = ?9, currency = ?10, \
                       payment_token = ?11, step = ?12, attempt = ?13, lease = ?14, due_at = ?15, \
                       answer_status = coalesce(answer_status, ?16), saga_events = ?17 \
                       WHERE id = ?1 AND status = ?2 AND step = ?3 AND lease IS ?4 RETURNING 1";
    let saga = &order.saga;
    let parameters = [
        order.id.as_str().into(),
        word(&held.status),
        word(&held.step),
        held.lease.as_deref().into(),
        word(&order.status),
        order.reason.as_ref().map_or(Value::Null, word),
        json(&order.details),
        json(&order.lines),
        order.total.as_ref().map(|total| total.amount).into(),
        order
            .total
            .as_ref()
            .map(|total| total.currency.as_str())
            .into(),
        saga.payment_token.as_deref().into(),
        word(&saga.step),
        saga.attempt.into(),
        saga.lease.as_deref().into(),
        saga.due_at.into(),
        order.answer_status.map(i64::from).into(),
        json(&events),
    ];
    Ok(write::<()>(SQL, parameters).await?.is_some())
}

/// A saga that somebody should take up.
pub struct Due {
    pub id: String,
    pub step: Step,
}

impl FromRow for Due {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.take()?,
            step: row.take::<Word<_>>()?.0,
        })
    }
}

/// Up to so many sagas that are due, the longest waiting first.
pub async fn due(now: i64, limit: i64) -> Result<Vec<Due>, Error> {
    const SQL: &str = "SELECT id, step FROM orders WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2";
    DATABASE.read(SQL, [now.into(), limit.into()]).await
}

/// Whether so many sagas are being driven, by all instances together. One whose driver is gone is not: its lease is over.
pub async fn are_under_way(count: i64, now: i64) -> Result<bool, Error> {
    const SQL: &str = "SELECT count(*) = ?1 FROM (SELECT 1 FROM orders WHERE lease IS NOT NULL AND due_at > ?2 LIMIT ?1)";
    let so_many = DATABASE.read_one(SQL, [count.into(), now.into()]).await?;
    Ok(so_many.is_some_and(|Column(so_many)| so_many))
}

/// Makes the saga of an order due that waits for its next attempt; none where it is done, or somebody has it.
pub async fn make_due(id: &str, now: i64) -> Result<Option<Due>, Error> {
    // Mostly it is not waiting, and to read takes no lock.
    const WAITS: &str = "SELECT 1 FROM orders WHERE id = ?1 AND lease IS NULL AND due_at > ?2";
    const SQL: &str = "UPDATE orders SET due_at = ?2 WHERE id = ?1 AND lease IS NULL AND due_at > ?2 RETURNING id, step";
    let parameters = || [id.into(), now.into()];
    match DATABASE.read_one(WAITS, parameters()).await? {
        Some(()) => write(SQL, parameters()).await,
        None => Ok(None),
    }
}

/// Takes a saga that is due at this step for the bearer of a lease, for a further attempt; none if somebody else was faster.
pub async fn claim(
    due: &Due,
    lease: &str,
    lease_ends: i64,
    now: i64,
) -> Result<Option<Order>, Error> {
    const SQL: &str = concat!(
        "UPDATE orders SET lease = ?3, due_at = ?4, attempt = attempt + 1, saga_events = ?5 ",
        "WHERE id = ?1 AND step = ?2 AND due_at <= ?6 RETURNING ",
        order!()
    );
    let parameters = [
        due.id.as_str().into(),
        word(&due.step),
        lease.into(),
        lease_ends.into(),
        json(&due.step.begins()),
        now.into(),
    ];
    write(SQL, parameters).await
}

/// The order with this id; of this user alone, if one is named.
pub async fn find(id: &str, user: Option<&str>) -> Result<Option<Order>, Error> {
    const SQL: &str = concat!(
        "SELECT ",
        order!(),
        ", ",
        history!(),
        " FROM orders WHERE id = ?1 AND (?2 IS NULL OR user_id = ?2)"
    );
    DATABASE.read_one(SQL, [id.into(), user.into()]).await
}

/// The order that a user placed with this key.
pub async fn find_by_key(user: &str, key: &str) -> Result<Option<Order>, Error> {
    const SQL: &str = concat!(
        "SELECT ",
        order!(),
        ", ",
        history!(),
        " FROM orders WHERE user_id = ?1 AND idempotency_key = ?2"
    );
    DATABASE.read_one(SQL, [user.into(), key.into()]).await
}

/// Reads one order more than the page has, so that it is known whether more follow. Newest first; of this user alone, if one
/// is named.
pub async fn list(filter: &Filter, user: Option<&str>) -> Result<Vec<Order>, Error> {
    let (sql, parameters) = list_statement(filter, user);
    DATABASE.read(&sql, parameters).await
}

/// Each condition is there only when it is asked for, so that an index answers the list.
fn list_statement(filter: &Filter, user: Option<&str>) -> (String, Vec<Value>) {
    let mut sql = concat!(
        "SELECT ",
        order!(),
        ", ",
        history!(),
        " FROM orders WHERE TRUE"
    )
    .to_owned();
    let mut parameters = Vec::new();
    let several = filter.statuses.len() > 1;
    let one_status = filter.statuses.first().filter(|_| !several);
    let asked_for = [
        (" AND user_id = ?", user.map(Value::from)),
        (
            " AND user_id = ?",
            filter.user_id.map(|id| id.to_string().into()),
        ),
        (" AND status = ?", one_status.map(word)),
        // Of several statuses no index has the ids in order.
        (
            " AND +status IN (SELECT value FROM json_each(?))",
            several.then(|| json(&filter.statuses)),
        ),
        (
            " AND id >= ?",
            filter.from.map(|from| first_id(from).into()),
        ),
        (
            " AND substr(id, 25) = ?",
            filter.number.as_deref().map(Value::from),
        ),
        (" AND id < ?", filter.before.map(|id| id.to_string().into())),
    ];
    for (condition, parameter) in asked_for {
        if let Some(parameter) = parameter {
            sql.push_str(condition);
            parameters.push(parameter);
        }
    }
    sql.push_str(" ORDER BY id DESC LIMIT ?");
    parameters.push((filter.limit + 1).into());
    (sql, parameters)
}

impl FromRow for HistoryEntry {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            seq: row.take()?,
            status: row.take::<Word<_>>()?.0,
            at: row.take()?,
            reason: row.take::<Option<Word<_>>>()?.map(|Word(reason)| reason),
        })
    }
}

/// Erases what is personal in the orders of a user whose account is deleted, now or when they have come to their end.
pub async fn erase_user(user: &str) -> Result<(), Error> {
    const SQL: &str =
        "INSERT INTO erased_users (user_id) VALUES (?1) ON CONFLICT (user_id) DO NOTHING";
    write::<()>(SQL, [user.into()]).await.map(drop)
}

/// Notes down how much of an order's payment was given back. It only ever grows, so what comes late changes nothing.
pub async fn note_refund(id: &str, refunded: i64) -> Result<(), Error> {
    const SQL: &str = "UPDATE orders SET refunded = ?2 WHERE id = ?1 AND refunded < ?2 RETURNING 1";
    write::<()>(SQL, [id.into(), refunded.into()])
        .await
        .map(drop)
}

/// Whether this user's account is deleted.
pub async fn is_erased(user: &str) -> Result<bool, Error> {
    const SQL: &str = "SELECT 1 FROM erased_users WHERE user_id = ?1";
    let erased: Option<()> = DATABASE.read_one(SQL, [user.into()]).await?;
    Ok(erased.is_some())
}

/// What an order's history has after this place.
pub async fn history_after(id: &str, seq: i64) -> Result<Vec<HistoryEntry>, Error> {
    const SQL: &str = "SELECT seq, status, at, reason FROM order_history WHERE order_id = ?1 AND seq > ?2 ORDER BY seq";
    DATABASE.read(SQL, [id.into(), seq.into()]).await
}

/// Decides that the request which placed an order is answered with its confirmation, if nothing is decided yet and it stands
/// confirmed.
pub async fn answer_with_confirmation(id: &str) -> Result<(), Error> {
    const SQL: &str = "UPDATE orders SET answer_status = 201 \
                       WHERE id = ?1 AND answer_status IS NULL AND status = 'confirmed' AND step = 'settle' RETURNING 1";
    write::<()>(SQL, [id.into()]).await.map(drop)
}

/// Notes that a paid order was sent, unless all of the money was given back; says whether it did.
pub async fn ship(id: &str, shipment: &Shipment) -> Result<bool, Error> {
    const SQL: &str = "UPDATE orders SET status = 'shipped', carrier = ?2, tracking = ?3 \
                       WHERE id = ?1 AND status = 'confirmed' AND step = 'done' \
                       AND (refunded < total_amount OR total_amount = 0) RETURNING 1";
    let parameters = [
        id.into(),
        shipment.carrier.as_str().into(),
        shipment.tracking.as_str().into(),
    ];
    Ok(write::<()>(SQL, parameters).await?.is_some())
}

/// Notes that an order has arrived; says whether it did.
pub async fn deliver(id: &str) -> Result<bool, Error> {
    const SQL: &str =
        "UPDATE orders SET status = 'delivered' WHERE id = ?1 AND status = 'shipped' RETURNING 1";
    Ok(write::<()>(SQL, [id.into()]).await?.is_some())
}

#[cfg(test)]
pub mod tests;
