//! Every SQL statement of the service.
//!
//! To make a notification is one INSERT, and what becomes of a delivery one UPDATE; triggers make the deliveries and write the
//! events.

use souk_chassis::SignedIn;
use souk_events::Outbox;
use souk_store::{
    Column, Database, Error, FromRow, Json, Migration, Row, Value, Word, json, text, word,
};
use uuid::Uuid;

use crate::domain::{
    Delivery, DeliveryFilter, DeliveryView, Filter, NewNotification, Notification,
};

const MIGRATIONS: &[Migration] = &[
    souk_events::MIGRATION,
    Migration {
        name: "0001_notifications",
        sql: include_str!("../migrations/0001_notifications.sql"),
    },
];

static DATABASE: Database = Database::new("notifications", MIGRATIONS);

/// What the others are told.
pub static OUTBOX: Outbox = Outbox::new("notifications", MIGRATIONS);

/// The present time, as all times are written.
macro_rules! now {
    () => {
        "strftime('%Y-%m-%dT%H:%M:%fZ')"
    };
}

/// Milliseconds since 1970.
macro_rules! millis {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}

/// When a lease that is given now ends: long after the seconds that asking users and sending may take.
macro_rules! lease {
    () => {
        concat!(millis!(), " + 30000")
    };
}

/// What makes a delivery on the channel `?1` one that anybody may send.
macro_rules! due {
    () => {
        concat!(
            "channel = ?1 AND status = 'pending' AND due_at <= ",
            millis!()
        )
    };
}

/// When the reader `?1` has read what is for all administrators.
macro_rules! shared_read_at {
    () => {
        "(SELECT reads.read_at FROM notification_reads AS reads \
          WHERE reads.notification_id = notifications.id AND reads.user_id = ?1)"
    };
}

/// The beginning of a statement that reads what a [`Notification`] is to the reader `?1`.
macro_rules! select_notification {
    () => {
        concat!(
            "SELECT id, kind, order_id, title, text, html, created_at, iif(user_id IS NULL, ",
            shared_read_at!(),
            ", read_at) FROM notifications "
        )
    };
}

/// The beginning of a statement that reads a [`DeliveryView`].
macro_rules! select_delivery {
    () => {
        "SELECT deliveries.id, notification_id, user_id, kind, channel, status, attempts, last_error, updated_at \
         FROM deliveries JOIN notifications ON notifications.id = notification_id "
    };
}

impl FromRow for Notification {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.take()?,
            kind: row.take::<Word<_>>()?.0,
            order_id: row.take()?,
            title: row.take()?,
            text: row.take()?,
            html: row.take()?,
            created_at: row.take()?,
            read_at: row.take()?,
        })
    }
}

impl FromRow for Delivery {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.take()?,
            attempts: row.take()?,
            leased_until: row.take()?,
            message: row.take::<Json<_>>()?.0,
        })
    }
}

impl FromRow for DeliveryView {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.take()?,
            notification_id: row.take()?,
            user_id: row.take()?,
            kind: row.take::<Word<_>>()?.0,
            channel: row.take()?,
            status: row.take::<Word<_>>()?.0,
            attempts: row.take()?,
            last_error: row.take()?,
            updated_at: row.take()?,
        })
    }
}

/// Makes a notification, to go out on these channels, unless its cause has one or its user is gone.
pub async fn insert(new: &NewNotification, channels: &[&str]) -> Result<(), Error> {
    const SQL: &str = "INSERT INTO notifications (id, user_id, kind, cause, order_id, title, text, html, channels) \
        SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE NOT EXISTS (SELECT 1 FROM erased_users WHERE user_id = ?2) \
        ON CONFLICT (cause) DO NOTHING";
    let parameters = [
        text(Uuid::now_v7()),
        new.user_id.map_or(Value::Null, text),
        word(&new.kind),
        new.cause.as_str().into(),
        new.order_id.map_or(Value::Null, text),
        new.content.title.as_str().into(),
        new.content.text.as_str().into(),
        new.content.html.as_str().into(),
        json(channels),
    ];
    DATABASE.write::<()>(SQL, parameters).await.map(drop)
}

/// Erases what is there of a user, and remembers that nothing is to be there any more.
pub async fn erase(user: Uuid) -> Result<(), Error> {
    const SQL: &str =
        "INSERT INTO erased_users (user_id) VALUES (?1) ON CONFLICT (user_id) DO NOTHING";
    DATABASE.write::<()>(SQL, [text(user)]).await.map(drop)
}

/// The notifications that a reader may see and that fit the filter, newest first; one more than its limit where more follow.
pub async fn list(filter: &Filter, reader: SignedIn) -> Result<Vec<Notification>, Error> {
    let parameters = [
        text(reader.user),
        text(filter.part.after.unwrap_or(Uuid::max())),
        (filter.part.limit + 1).into(),
        filter.order_id.map_or(Value::Null, text),
    ];
    let sql = list_statement(filter, reader.is_admin());
    DATABASE.read(&sql, parameters).await
}

/// Each condition is there only when it is asked for, so that an index answers the list.
fn list_statement(filter: &Filter, is_admin: bool) -> String {
    let part = |whose: &str, is_unread: &str| {
        let unread = match filter.unread {
            true => is_unread,
            false => "",
        };
        format!(
            "{}WHERE {whose} AND id < ?2{unread}",
            select_notification!()
        )
    };
    const UNREAD: &str = " AND read_at IS NULL";
    const SHARED_UNREAD: &str = concat!(" AND ", shared_read_at!(), " IS NULL");
    let own = part("user_id = ?1 AND (?4 IS NULL OR order_id = ?4)", UNREAD);
    let lists = match (is_admin, filter.order_id) {
        (true, Some(_)) => part("order_id = ?4", UNREAD),
        (true, None) => {
            let shared = part("user_id IS NULL", SHARED_UNREAD);
            format!("{own} UNION ALL {shared}")
        }
        (false, _) => own,
    };
    format!("{lists} ORDER BY id DESC LIMIT ?3")
}

/// A notification, if it is the reader's own or, for an administrator, for all of them.
pub async fn find(id: Uuid, reader: SignedIn) -> Result<Option<Notification>, Error> {
    const SQL: &str = concat!(
        select_notification!(),
        "WHERE id = ?2 AND (user_id = ?1 OR (?3 AND user_id IS NULL))"
    );
    let parameters = [
        text(reader.user),
        text(id),
        i64::from(reader.is_admin()).into(),
    ];
    DATABASE.read_one(SQL, parameters).await
}

/// Notes that somebody has read a notification which is theirs, unless they have before.
pub async fn mark_read(id: Uuid, reader: SignedIn) -> Result<(), Error> {
    const OWN: &str = concat!(
        "UPDATE notifications SET read_at = ",
        now!(),
        " WHERE id = ?1 AND user_id = ?2 AND read_at IS NULL"
    );
    const SHARED: &str = "INSERT INTO notification_reads (notification_id, user_id) \
        SELECT id, ?2 FROM notifications WHERE id = ?1 AND user_id IS NULL ON CONFLICT DO NOTHING";
    let parameters = || [text(id), text(reader.user)];
    DATABASE.write::<()>(OWN, parameters()).await?;
    if reader.is_admin() {
        DATABASE.write::<()>(SHARED, parameters()).await?;
    }
    Ok(())
}

const A_DUE_ONE: &str = concat!("SELECT 1 FROM deliveries WHERE ", due!(), " LIMIT 1");

const CLAIM: &str = concat!(
    "UPDATE deliveries SET attempts = attempts + 1, due_at = ",
    lease!(),
    " WHERE id IN (SELECT id FROM deliveries WHERE ",
    due!(),
    " ORDER BY due_at LIMIT ?2) RETURNING id, attempts, due_at, ",
    "(SELECT json_object('notification_id', id, 'user_id', user_id, 'kind', kind, 'order_id', order_id, 'title', title, ",
    "'text', text, 'html', html, 'created_at', created_at) FROM notifications WHERE id = deliveries.notification_id)"
);

/// Leases up to so many deliveries to the caller that are due on a channel.
pub async fn claim(channel: &str, limit: i64) -> Result<Vec<Delivery>, Error> {
    // Mostly there is none, and to read takes no lock.
    let due: Option<()> = DATABASE.read_one(A_DUE_ONE, [channel.into()]).await?;
    match due {
        Some(()) => DATABASE.write(CLAIM, [channel.into(), limit.into()]).await,
        None => Ok(Vec::new()),
    }
}

/// Writes down that a delivery went out, which is so whether the caller still has it leased or not.
pub async fn sent(delivery: &Delivery) -> Result<(), Error> {
    const SQL: &str = concat!(
        "UPDATE deliveries SET status = 'sent', last_error = NULL, updated_at = ",
        now!(),
        " WHERE id = ?1 AND status = 'pending'"
    );
    let parameters = [delivery.id.as_str().into()];
    DATABASE.write::<()>(SQL, parameters).await.map(drop)
}

/// Writes down that a delivery did not go out, and is to be tried again after so many milliseconds. Only who has it leased may say
/// so.
pub async fn postpone(delivery: &Delivery, wait: i64, why: &str) -> Result<(), Error> {
    const SQL: &str = concat!(
        "UPDATE deliveries SET last_error = ?3, updated_at = ",
        now!(),
        ", due_at = ?4 + ",
        millis!(),
        " WHERE id = ?1 AND due_at = ?2 AND status = 'pending'"
    );
    let parameters = [
        delivery.id.as_str().into(),
        delivery.leased_until.into(),
        why.into(),
        wait.into(),
    ];
    DATABASE.write::<()>(SQL, parameters).await.map(drop)
}

/// Writes down that a delivery did not go out, and is not tried any more. Only who has it leased may say so.
pub async fn park(delivery: &Delivery, why: &str) -> Result<(), Error> {
    const SQL: &str = concat!(
        "UPDATE deliveries SET status = 'parked', last_error = ?3, updated_at = ",
        now!(),
        " WHERE id = ?1 AND due_at = ?2 AND status = 'pending'"
    );
    let parameters = [
        delivery.id.as_str().into(),
        delivery.leased_until.into(),
        why.into(),
    ];
    DATABASE.write::<()>(SQL, parameters).await.map(drop)
}

const DELIVERIES: &str = concat!(
    select_delivery!(),
    "WHERE ?1 IS NULL AND deliveries.id < ?2 ORDER BY deliveries.id DESC LIMIT ?3"
);

const DELIVERIES_BY_STATUS: &str = concat!(
    select_delivery!(),
    "WHERE status = ?1 AND deliveries.id < ?2 ORDER BY deliveries.id DESC LIMIT ?3"
);

/// Deliveries that fit the filter, newest first; one more than its limit where more follow.
pub async fn deliveries(filter: &DeliveryFilter) -> Result<Vec<DeliveryView>, Error> {
    let sql = match filter.status {
        Some(_) => DELIVERIES_BY_STATUS,
        None => DELIVERIES,
    };
    let parameters = [
        filter.status.as_ref().map_or(Value::Null, word),
        text(filter.part.after.unwrap_or(Uuid::max())),
        (filter.part.limit + 1).into(),
    ];
    DATABASE.read(sql, parameters).await
}

pub async fn delivery(id: Uuid) -> Result<Option<DeliveryView>, Error> {
    const SQL: &str = concat!(select_delivery!(), "WHERE deliveries.id = ?1");
    DATABASE.read_one(SQL, [text(id)]).await
}

/// Makes a parked delivery pending again, with all its attempts.
pub async fn retry(id: Uuid) -> Result<(), Error> {
    const SQL: &str = concat!(
        "UPDATE deliveries SET status = 'pending', attempts = 0, due_at = 0, updated_at = ",
        now!(),
        " WHERE id = ?1 AND status = 'parked'"
    );
    DATABASE.write::<()>(SQL, [text(id)]).await.map(drop)
}

const PARKED: &str = "SELECT count(*) FROM deliveries WHERE status = 'parked'";

/// How many deliveries were given up.
pub async fn parked() -> Result<i64, Error> {
    let parked: Option<Column<i64>> = DATABASE.read_one(PARKED, []).await?;
    Ok(parked.map_or(0, |Column(parked)| parked))
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;
    use souk_chassis::fields;

    /// Runs a statement that no handler would; its first row's first column as text.
    pub fn run(sql: &str) -> Result<Option<String>, Error> {
        let row: Option<Column<Option<String>>> = block_on(DATABASE.write_one(sql, []))?;
        Ok(row.and_then(|Column(text)| text))
    }

    /// How SQLite goes about a statement that has so many parameters.
    fn plan(sql: &str, parameters: usize) -> Vec<String> {
        block_on(DATABASE.plan(sql, vec![Value::Null; parameters])).unwrap()
    }

    #[test]
    fn what_is_asked_for_often_is_found_by_an_index() {
        let own = "SEARCH notifications USING INDEX notifications_by_user (user_id=? AND id<?)";
        let unread = "SEARCH notifications USING INDEX notifications_unread (user_id=? AND id<?)";
        let of_order =
            "SEARCH notifications USING INDEX notifications_by_order (order_id=? AND id<?)";
        let list = |query: &str, is_admin| {
            let filter: Filter = fields::from_query(query).unwrap();
            list_statement(&filter, is_admin)
        };
        let order = format!("order_id={}", Uuid::nil());
        for (sql, parameters, step) in [
            (list("", false), 4, own),
            (list("", true), 4, own),
            (list("unread=true", false), 4, unread),
            (list(&order, true), 4, of_order),
            (
                A_DUE_ONE.to_owned(),
                1,
                "SEARCH deliveries USING COVERING INDEX deliveries_due (channel=? AND due_at<?)",
            ),
            (
                CLAIM.to_owned(),
                2,
                "SEARCH deliveries USING INDEX deliveries_due (channel=? AND due_at<?)",
            ),
            (
                DELIVERIES_BY_STATUS.to_owned(),
                3,
                "SEARCH deliveries USING INDEX deliveries_by_status (status=? AND id<?)",
            ),
            (
                PARKED.to_owned(),
                0,
                "SEARCH deliveries USING COVERING INDEX deliveries_by_status (status=?)",
            ),
        ] {
            let plan = plan(&sql, parameters);
            assert!(
                plan.iter().any(|planned| planned == step),
                "{step}: {plan:?}"
            );
            let sorts = plan.iter().any(|planned| planned.contains("TEMP B-TREE"));
            assert!(!sorts, "{sql}: {plan:?}");
        }
    }

    #[test]
    fn a_migration_can_be_repeated() {
        run("SELECT count(*) || '' FROM notifications").unwrap();
        for statement in MIGRATIONS.iter().flat_map(Migration::statements) {
            run(statement).unwrap();
        }
    }
}
