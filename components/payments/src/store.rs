//! Every SQL statement of the service.
//!
//! What is wanted of a payment, and what became of an operation, is one statement each; triggers carry the one over to the other
//! and write the history.

use souk_chassis::Money;
use souk_events::Outbox;
use souk_store::{Column, Database, Error, FromRow, Json, Migration, Row, Word, text, word};
use uuid::Uuid;

use crate::card::{Brand, CardSummary, CardToken, Token};
use crate::domain::{Kind, NewPayment, Operation, Payment, Status, Transaction};

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_payments",
        sql: include_str!("../migrations/0001_payments.sql"),
    },
    souk_events::MIGRATION,
    Migration {
        name: "0002_events",
        sql: include_str!("../migrations/0002_events.sql"),
    },
];

pub(crate) static DATABASE: Database = Database::new("payments", MIGRATIONS);

/// What the triggers write for others to know.
pub static OUTBOX: Outbox = Outbox::new("payments", MIGRATIONS);

/// Milliseconds since 1970.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}

/// When a lease that is given now ends: long after the ten seconds in which a provider answers. The same as in the migration.
macro_rules! lease {
    () => {
        concat!(now!(), " + 20000")
    };
}

/// When an operation that has come to nothing is due again: after a second, then two, then four, up to five minutes.
macro_rules! later {
    () => {
        concat!(now!(), " + min(300000, 1000 << min(failures, 9))")
    };
}

/// The columns of a [`Payment`], in the order it is read.
macro_rules! payment {
    () => {
        "SELECT payments.id, order_id, user_id, amount, currency, captured, refunded, status, \
         card_tokens.brand, card_tokens.last4, card_tokens.exp_month, card_tokens.exp_year, \
         decline_code, payments.created_at, updated_at, \
         (SELECT json_group_array(json_object('id', id, 'kind', kind, \
            'amount', json_object('amount', amount, 'currency', payments.currency), 'status', status, \
            'provider_reference', provider_reference, 'decline_code', decline_code, 'detail', detail, 'created_at', created_at)) \
          FROM (SELECT * FROM transactions WHERE payment_id = payments.id ORDER BY number)) \
         FROM payments LEFT JOIN card_tokens USING (token) "
    };
}

/// The columns of an [`Operation`], in the order it is read.
macro_rules! operation {
    () => {
        concat!(
            "SELECT operations.key, payment_id, kind, operations.status = 'asked', attempt, turn, lease_until > ",
            now!(),
            ", operations.amount, currency, token, hold FROM operations JOIN payments ON payments.id = payment_id "
        )
    };
}

impl FromRow for Payment {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        let (id, order_id, user_id) = (row.take()?, row.take()?, row.take()?);
        let (amount, currency) = (row.take()?, row.take::<String>()?);
        let money = |amount| Money {
            amount,
            currency: currency.clone(),
        };
        Ok(Self {
            id,
            order_id,
            user_id,
            amount: money(amount),
            captured: money(row.take()?),
            refunded: money(row.take()?),
            status: row.take::<Word<Status>>()?.0,
            card: card(row)?,
            decline_code: row.take()?,
            created_at: row.take()?,
            updated_at: row.take()?,
            transactions: row.take::<Json<Vec<Transaction>>>()?.0,
        })
    }
}

fn card(row: &mut Row) -> Result<Option<CardSummary>, Error> {
    let brand = row.take::<Option<Word<Brand>>>()?;
    let last4 = row.take::<Option<String>>()?;
    let (exp_month, exp_year) = (row.take::<Option<i64>>()?, row.take::<Option<i64>>()?);
    Ok(brand.zip(last4).map(|(Word(brand), last4)| CardSummary {
        brand,
        last4,
        exp_month: exp_month.unwrap_or_default(),
        exp_year: exp_year.unwrap_or_default(),
    }))
}

impl FromRow for Operation {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            key: row.take()?,
            payment_id: row.take()?,
            kind: row.take::<Word<Kind>>()?.0,
            asked: row.take()?,
            attempt: row.take()?,
            turn: row.take()?,
            leased: row.take()?,
            amount: Money {
                amount: row.take()?,
                currency: row.take()?,
            },
            token: Token(row.take()?),
            hold: row.take::<Option<String>>()?.unwrap_or_default(),
        })
    }
}

pub async fn insert_token(token: &CardToken) -> Result<(), Error> {
    const SQL: &str = "INSERT INTO card_tokens (token, brand, last4, exp_month, exp_year) VALUES (?1, ?2, ?3, ?4, ?5)";
    let parameters = [
        token.token.as_str().into(),
        word(&token.card.brand),
        token.card.last4.as_str().into(),
        token.card.exp_month.into(),
        token.card.exp_year.into(),
    ];
    DATABASE.write::<()>(SQL, parameters).await.map(drop)
}

/// Tokens that no payment was made with within a day.
macro_rules! stale_tokens {
    () => {
        "SELECT token FROM card_tokens WHERE used = 0 AND created_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') LIMIT 100"
    };
}

/// Forgets some tokens that no payment was made with within a day.
pub async fn prune_tokens() -> Result<(), Error> {
    const SQL: &str = concat!(
        "DELETE FROM card_tokens WHERE token IN (",
        stale_tokens!(),
        ")"
    );
    // A write locks the database, and mostly there is nothing to forget.
    let stale: Vec<Column<String>> = DATABASE.read(stale_tokens!(), []).await?;
    match stale.is_empty() {
        true => Ok(()),
        false => DATABASE.write::<()>(SQL, []).await.map(drop),
    }
}

pub async fn find(id: Uuid) -> Result<Option<Payment>, Error> {
    const SQL: &str = concat!(payment!(), "WHERE payments.id = ?1");
    DATABASE.read_one(SQL, [text(id)]).await
}

pub async fn find_by_order(order_id: Uuid) -> Result<Option<Payment>, Error> {
    const SQL: &str = concat!(payment!(), "WHERE order_id = ?1");
    DATABASE.read_one(SQL, [text(order_id)]).await
}

/// The token that an order's payment was asked for with.
pub async fn token_of(order_id: Uuid) -> Result<Option<Token>, Error> {
    const SQL: &str = "SELECT token FROM payments WHERE order_id = ?1 AND token IS NOT NULL";
    let token: Option<Column<String>> = DATABASE.read_one(SQL, [text(order_id)]).await?;
    Ok(token.map(|Column(token)| Token(token)))
}

/// Begins to authorize an order's payment, and leases that to the caller; `None` where the order has a payment.
pub async fn begin_authorization(
    order_id: Uuid,
    new: &NewPayment,
) -> Result<Option<Operation>, Error> {
    const SQL: &str = "INSERT INTO payments (id, order_id, user_id, token, amount, currency, status) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'authorizing') ON CONFLICT (order_id) DO NOTHING RETURNING id";
    let parameters = [
        text(Uuid::now_v7()),
        text(order_id),
        text(new.user_id),
        new.token.0.as_str().into(),
        new.amount.amount.into(),
        new.amount.currency.as_str().into(),
    ];
    let id: Option<Column<String>> = DATABASE.write_one(SQL, parameters).await?;
    Ok(id.map(|Column(id)| Operation {
        token: new.token.clone(),
        ..begun(id, Kind::Authorize, "authorize", new.amount.clone())
    }))
}

/// Begins to capture an order's payment, and leases that to the caller; `None` where it is not authorized.
pub async fn begin_capture(order_id: Uuid) -> Result<Option<Operation>, Error> {
    const SQL: &str = "UPDATE payments SET status = 'capturing', updated_at = strftime('%Y-%m-%dT%H:%M:%fZ') \
        WHERE order_id = ?1 AND status = 'authorized' RETURNING id, amount, currency, hold";
    let begun: Option<BegunCapture> = DATABASE.write_one(SQL, [text(order_id)]).await?;
    Ok(begun.map(|BegunCapture(operation)| operation))
}

struct BegunCapture(Operation);

impl FromRow for BegunCapture {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        let id = row.take()?;
        let amount = Money {
            amount: row.take()?,
            currency: row.take()?,
        };
        Ok(Self(Operation {
            hold: row.take()?,
            ..begun(id, Kind::Capture, "capture", amount)
        }))
    }
}

/// An operation as the triggers begin it, with the lease in the hands of whoever caused that.
fn begun(payment_id: String, kind: Kind, verb: &str, amount: Money) -> Operation {
    Operation {
        key: format!("{payment_id}-{verb}"),
        payment_id,
        kind,
        asked: true,
        attempt: 1,
        turn: 1,
        leased: true,
        amount,
        token: Token::default(),
        hold: String::new(),
    }
}

/// Wants an order's payment voided, as far as it can be. An order without one gets a tombstone, so that none can be made.
pub async fn begin_void(order_id: Uuid) -> Result<(), Error> {
    const SQL: &str = "INSERT INTO payments (id, order_id, amount, currency, status) VALUES (?1, ?2, 0, 'XXX', 'voided') \
        ON CONFLICT (order_id) DO UPDATE SET status = 'voiding', updated_at = strftime('%Y-%m-%dT%H:%M:%fZ') \
        WHERE status IN ('authorizing', 'authorized', 'capture_failed')";
    let parameters = [text(Uuid::now_v7()), text(order_id)];
    DATABASE.write::<()>(SQL, parameters).await.map(drop)
}

/// Begins a refund, of all that is left unless told, and leases that to the caller. `None` where so much is not left, or where the
/// caller has begun one under this key before.
pub async fn begin_refund(
    payment_id: &str,
    amount: Option<i64>,
    request_key: Option<&str>,
) -> Result<Option<Operation>, Error> {
    const SQL: &str = concat!(
        "INSERT INTO operations (key, payment_id, kind, request_key, amount, status, lease_until, due_at) ",
        "SELECT ?1, id, 'refund', ?3, coalesce(?4, captured - refunded - refunding), 'asked', ",
        lease!(),
        ", ",
        lease!(),
        " FROM payments WHERE id = ?2 AND status IN ('captured', 'partially_refunded', 'refunding') ",
        "AND coalesce(?4, 0) <= captured - refunded - refunding ",
        // What cost nothing is refunded by giving back nothing, once.
        "AND (captured > refunded + refunding OR status = 'captured') ",
        "ON CONFLICT (payment_id, request_key) DO NOTHING RETURNING key"
    );
    let key = format!("{payment_id}-refund-{}", Uuid::now_v7().simple());
    let parameters = [
        key.into(),
        payment_id.into(),
        request_key.into(),
        amount.into(),
    ];
    match DATABASE
        .write_one::<Column<String>>(SQL, parameters)
        .await?
    {
        Some(Column(key)) => operation(&key).await,
        None => Ok(None),
    }
}

/// A refund that was asked for under a key before.
pub struct EarlierRefund {
    pub amount: i64,
    /// Whether the provider declined it, and why.
    pub decline_code: Option<String>,
    pub decided: bool,
}

impl FromRow for EarlierRefund {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            amount: row.take()?,
            decline_code: row.take()?,
            decided: row.take()?,
        })
    }
}

pub async fn refund(payment_id: &str, request_key: &str) -> Result<Option<EarlierRefund>, Error> {
    const SQL: &str = "SELECT amount, iif(status = 'declined', coalesce(decline_code, ''), NULL), \
        status IN ('succeeded', 'declined') FROM operations WHERE payment_id = ?1 AND request_key = ?2";
    DATABASE
        .read_one(SQL, [payment_id.into(), request_key.into()])
        .await
}

async fn operation(key: &str) -> Result<Option<Operation>, Error> {
    const SQL: &str = concat!(operation!(), "WHERE operations.key = ?1");
    DATABASE.read_one(SQL, [key.into()]).await
}

/// What is not decided about a payment, oldest first.
pub async fn undecided(payment_id: &str) -> Result<Vec<Operation>, Error> {
    const SQL: &str = concat!(
        operation!(),
        "WHERE payment_id = ?1 AND operations.status IN ('asked', 'ready') ORDER BY number"
    );
    DATABASE.read(SQL, [payment_id.into()]).await
}

/// Payments with operations that are due. An authorization that certainly was not carried out waits until it is asked for again.
pub async fn due(limit: i64) -> Result<Vec<String>, Error> {
    const SQL: &str = concat!(
        "SELECT payment_id FROM operations WHERE status IN ('asked', 'ready') AND due_at <= ",
        now!(),
        " AND lease_until <= ",
        now!(),
        " AND NOT (kind = 'authorize' AND status = 'ready') GROUP BY payment_id ORDER BY min(due_at) LIMIT ?1"
    );
    let due: Vec<Column<String>> = DATABASE.read(SQL, [limit.into()]).await?;
    Ok(due.into_iter().map(|Column(id)| id).collect())
}

/// Takes an operation that nobody was at when it was read; says whether nobody has been faster.
pub async fn take(operation: &Operation) -> Result<bool, Error> {
    const SQL: &str = concat!(
        "UPDATE operations SET status = 'asked', turn = turn + 1, lease_until = ",
        lease!(),
        ", due_at = ",
        lease!(),
        " WHERE key = ?1 AND turn = ?2 AND status IN ('asked', 'ready') RETURNING key"
    );
    let parameters = [operation.key.as_str().into(), operation.turn.into()];
    let taken: Option<Column<String>> = DATABASE.write_one(SQL, parameters).await?;
    Ok(taken.is_some())
}

/// Writes down that the provider did what it was asked.
pub async fn succeeded(operation: &Operation, reference: &str) -> Result<(), Error> {
    const SQL: &str = "UPDATE operations SET status = 'succeeded', reference = ?3, lease_until = 0 \
        WHERE key = ?1 AND attempt = ?2 AND status = 'asked'";
    let parameters = [
        operation.key.as_str().into(),
        operation.attempt.into(),
        reference.into(),
    ];
    DATABASE.write::<()>(SQL, parameters).await.map(drop)
}

/// Writes down that the provider will not do what it was asked.
pub async fn declined(operation: &Operation, code: &str, detail: &str) -> Result<(), Error> {
    const SQL: &str = "UPDATE operations SET status = 'declined', decline_code = ?3, detail = ?4, lease_until = 0 \
        WHERE key = ?1 AND attempt = ?2 AND status = 'asked'";
    let parameters = [
        operation.key.as_str().into(),
        operation.attempt.into(),
        code.into(),
        detail.into(),
    ];
    DATABASE.write::<()>(SQL, parameters).await.map(drop)
}

/// Writes down that nobody knows what the provider did.
pub async fn unknown(operation: &Operation) -> Result<(), Error> {
    const SQL: &str = concat!(
        "UPDATE operations SET was_unknown = 1, failures = failures + 1, lease_until = 0, due_at = ",
        later!(),
        " WHERE key = ?1 AND turn = ?2 AND status = 'asked'"
    );
    let parameters = [operation.key.as_str().into(), operation.turn.into()];
    DATABASE.write::<()>(SQL, parameters).await.map(drop)
}

/// Writes down that the provider certainly did nothing: it can be asked again under a new key, unless nobody wants it any more.
///
/// Only who is at it may say so. Somebody else may have asked again under the old key meanwhile.
pub async fn not_done(operation: &Operation) -> Result<(), Error> {
    const SQL: &str = concat!(
        "UPDATE operations SET status = CASE WHEN kind = 'authorize' AND EXISTS ",
        "(SELECT 1 FROM payments WHERE id = payment_id AND payments.status = 'voiding') THEN 'cancelled' ELSE 'ready' END, ",
        "attempt = attempt + 1, failures = failures + 1, lease_until = 0, due_at = ",
        later!(),
        " WHERE key = ?1 AND turn = ?2 AND status = 'asked'"
    );
    let parameters = [operation.key.as_str().into(), operation.turn.into()];
    DATABASE.write::<()>(SQL, parameters).await.map(drop)
}
