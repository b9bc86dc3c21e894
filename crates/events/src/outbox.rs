//! The way from a service's database to the broker.

use http::Method;
use souk_chassis::background::{self, Every, now};
use souk_chassis::gauges::Gauge;
use souk_chassis::{Context, Problem};
use souk_store::{Column, Database, Error, FromRow, Migration, Row, Synchronous};

use crate::{EVENT_LIMIT, Event, SPEC_VERSION, broker};

/// The tables of the outbox. It stands before the migrations whose triggers write into it.
pub const MIGRATION: Migration = Migration {
    name: "outbox_0001",
    sql: include_str!("../migrations/outbox.sql"),
};

/// How many events are published in one request.
const BATCH: i64 = 100;

/// For how long whoever publishes has the outbox for themselves, in milliseconds: longer than a batch takes.
const LEASE: i64 = 10_000;

/// How much data a batch has at the most, unless one event has more; less than the broker takes.
const BATCH_BYTES: usize = EVENT_LIMIT / 4;

/// How often an instance's reading traffic looks whether there is something to publish, in milliseconds.
const LOOK_EVERY: i64 = 1_000;

/// How many events are not published yet, and how old the oldest of them is at the moment ?1, in milliseconds. Positions have no gaps, so none
/// of those events is counted.
const WAITING: &str = "SELECT ifnull((SELECT max(position) FROM outbox), 0) - published, \
                       ifnull(?1 - (SELECT CAST(unixepoch(time, 'subsec') * 1000 AS INTEGER) FROM outbox \
                           WHERE position > published ORDER BY position LIMIT 1), 0) FROM outbox_progress";

/// What a service's events are from.
pub fn source(service: &str) -> String {
    format!("/services/{service}")
}

/// The outbox of a service, meant to be a `static`.
///
/// Of those who want to publish one does, under a lease that ends by itself. It publishes in order, and what it sends is always the
/// oldest that the broker has not taken; so even two at once could not change the order.
pub struct Outbox {
    service: &'static str,
    /// The service's own database. How far it is published need not survive a power cut: the broker knows what it has.
    database: Database,
    /// The expression of SQL for where an event happened.
    traceparent: &'static str,
    look: Every,
}

impl Outbox {
    /// The outbox in the database with the service's name, which has these migrations.
    pub const fn new(service: &'static str, migrations: &'static [Migration]) -> Self {
        Self {
            service,
            database: Database::new(service, migrations).synchronous(Synchronous::Normal),
            traceparent: "NULL",
            look: Every::new(LOOK_EVERY),
        }
    }

    /// Has events say in which trace they happened where an expression of SQL, for a row of `outbox`, gives it in the form of the header
    /// `traceparent`. Where it is null, that is the trace of whoever publishes the event.
    pub const fn traced_by(mut self, expression: &'static str) -> Self {
        self.traceparent = expression;
        self
    }

    /// Publishes beside a request, and after its answer, what there is: after each that may have changed something, and now and
    /// then after one that only reads, for a shop that has nothing that ticks.
    pub fn nudge(&'static self, context: Context, method: &Method) {
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        if is_read && !self.look.is_due() {
            return;
        }
        background::later(async move { self.publish(&context).await });
    }

    /// Publishes all there is, unless somebody does already, or the broker was not to be reached a moment ago. Where it is not to be
    /// reached now that is logged: what is not published stays due.
    pub async fn publish(&self, context: &Context) {
        if let Err(problem) = self.dispatch(context).await {
            tracing::error!(error = ?problem, "events cannot be published");
        }
    }

    async fn dispatch(&self, context: &Context) -> Result<(), Problem> {
        let Some(mut published) = self.claim().await? else {
            return Ok(());
        };
        loop {
            let batch = self.after(published).await?;
            let Some(last) = batch.last().map(|entry| entry.position) else {
                return Ok(self.progress(published).await.map(drop)?);
            };
            let events = batch.into_iter().map(|entry| entry.event_within(context));
            let events: Vec<_> = events.collect();
            if let Err(why) = broker::publish(context, &events).await {
                self.postpone().await?;
                return Err(why);
            }
            if !self.progress(last).await? {
                return Ok(());
            }
            published = last;
        }
    }

    /// Events that are not published yet, oldest first.
    pub async fn unpublished(&self) -> Result<Vec<Event>, Error> {
        const SQL: &str = "SELECT published FROM outbox_progress";
        let published: Option<Column<i64>> = self.database.read_one(SQL, []).await?;
        let entries = self.after(published.map_or(0, |Column(published)| published));
        Ok(entries
            .await?
            .into_iter()
            .map(|entry| entry.event)
            .collect())
    }

    /// How much waits to be published, and for how long.
    pub async fn gauges(&self) -> Result<Vec<Gauge>, Error> {
        let waiting: Option<Waiting> = self.database.read_one(WAITING, [now().into()]).await?;
        let Waiting { events, oldest_ms } = waiting.unwrap_or_default();
        Ok(vec![
            Gauge::number(
                "souk_outbox_waiting",
                "Events that the broker has not taken yet.",
                events.max(0),
            )
            .of("service", self.service),
            Gauge::seconds(
                "souk_outbox_oldest_seconds",
                "How long the oldest event has been there that the broker has not taken yet.",
                oldest_ms,
            )
            .of("service", self.service),
        ])
    }

    /// Takes the lease, if there is something to publish and nobody has it; says up to where all is published.
    async fn claim(&self) -> Result<Option<i64>, Error> {
        // Mostly there is nothing, and to read takes no lock.
        const DUE: &str = "SELECT 1 FROM outbox_progress \
                           WHERE due_at <= ?1 AND published < (SELECT max(position) FROM outbox)";
        const CLAIM: &str = "UPDATE outbox_progress SET due_at = ?2 \
                             WHERE due_at <= ?1 AND published < (SELECT max(position) FROM outbox) RETURNING published";
        let now = now();
        if self
            .database
            .read_one::<()>(DUE, [now.into()])
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let claimed = self
            .database
            .write_one(CLAIM, [now.into(), (now + LEASE).into()]);
        Ok(claimed.await?.map(|Column(published)| published))
    }

    /// The next events after a position, as many as make a batch.
    async fn after(&self, position: i64) -> Result<Vec<Entry>, Error> {
        let sql = format!(
            "SELECT position, ?3, id, type, version, subject, time, {}, data, length(data) FROM outbox \
             WHERE position > ?1 ORDER BY position LIMIT ?2",
            self.traceparent
        );
        let parameters = [position.into(), BATCH.into(), source(self.service).into()];
        let mut entries: Vec<Entry> = self.database.read(&sql, parameters).await?;
        entries.truncate(length_of_batch(&entries));
        Ok(entries)
    }

    /// Notes that everything up to here is published. Says whether there is more; where there is not, the lease ends in the same
    /// statement, so whoever adds something a moment later can have it.
    async fn progress(&self, position: i64) -> Result<bool, Error> {
        const SQL: &str = "UPDATE outbox_progress SET published = max(published, ?1), failures = 0, \
                           due_at = iif((SELECT max(position) FROM outbox) > ?1, ?2, 0) RETURNING due_at > 0";
        let parameters = [position.into(), (now() + LEASE).into()];
        let more: Option<Column<bool>> = self.database.write_one(SQL, parameters).await?;
        Ok(more.is_some_and(|Column(more)| more))
    }

    /// The broker is not to be reached: nobody tries for a while, which doubles from a fifth of a second up to three. One call in so long
    /// burdens nobody, and what waits is on its way soon after the broker is back.
    async fn postpone(&self) -> Result<(), Error> {
        const SQL: &str = "UPDATE outbox_progress SET failures = failures + 1, \
                           due_at = ?1 + (200 << min(failures, 4)) RETURNING 1";
        let postponed = self.database.write_one::<()>(SQL, [now().into()]);
        postponed.await.map(drop)
    }
}

/// How many of these are not too much data for a batch; one at least.
fn length_of_batch(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = entries.iter().take_while(|entry| {
        bytes += entry.bytes;
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

/// What is not published.
#[derive(Default)]
struct Waiting {
    events: i64,
    oldest_ms: i64,
}

impl FromRow for Waiting {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            events: row.take()?,
            oldest_ms: row.take()?,
        })
    }
}

/// An event and its place in the outbox.
struct Entry {
    position: i64,
    event: Event,
    /// How much data it has.
    bytes: usize,
}

impl Entry {
    /// The event, in the trace it happened in, else in that of whoever publishes it, who mostly has just made the change.
    fn event_within(self, context: &Context) -> Event {
        let here = || context.traceparent().map(str::to_owned);
        Event {
            traceparent: self.event.traceparent.or_else(here),
            ..self.event
        }
    }
}

impl FromRow for Entry {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        let position = row.take()?;
        let (source, id) = (row.take()?, row.take()?);
        let (kind, version) = (row.take::<String>()?, row.take::<i64>()?);
        Ok(Self {
            position,
            event: Event {
                specversion: SPEC_VERSION.into(),
                id,
                source,
                dataschema: Some(format!("/schemas/{kind}/{version}")),
                kind,
                subject: row.take()?,
                time: row.take()?,
                traceparent: row.take()?,
                data: row.take::<souk_store::Json<_>>()?.0,
            },
            // Characters of three bytes are the longest that are common.
            bytes: usize::try_from(3 * row.take::<i64>()?).unwrap_or(usize::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;

    static OUTBOX: Outbox = Outbox::new("things", &[MIGRATION]);

    fn run(sql: &str) -> Result<Option<Column<i64>>, Error> {
        block_on(OUTBOX.database.write_one(sql, []))
    }

    fn add(subject: &str) {
        let sql = format!(
            "INSERT INTO outbox (type, subject, data) VALUES ('thing.made', '{subject}', '{{\"size\":1}}')"
        );
        run(&sql).unwrap();
    }

    fn subjects() -> Vec<String> {
        let events = block_on(OUTBOX.unpublished()).unwrap();
        events.into_iter().map(|event| event.subject).collect()
    }

    #[test]
    fn an_event_is_a_whole_envelope() {
        add("t1");
        let event = block_on(OUTBOX.unpublished()).unwrap().remove(0);
        assert_eq!(event.source, "/services/things");
        assert_eq!(event.kind, "thing.made");
        assert_eq!(event.dataschema.as_deref(), Some("/schemas/thing.made/1"));
        assert_eq!(event.data["size"], 1);
        assert_eq!(event.id.len(), 36);
    }

    #[cfg(feature = "native")]
    #[test]
    fn an_event_is_of_the_trace_it_happened_in_or_else_of_its_publishers() {
        const PUBLISHERS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        static TRACED: Outbox =
            Outbox::new("things", &[MIGRATION]).traced_by("iif(subject = 't1', 'its own', NULL)");
        ["t1", "t2"].into_iter().for_each(add);
        let publisher = Context {
            service: "things",
            request_id: http::HeaderValue::from_static("r1"),
            traceparent: souk_chassis::Traceparent::parse(PUBLISHERS),
            tracestate: None,
            caller: None,
            deadline: None,
            load: None,
        };
        block_on(TRACED.publish(&publisher));
        let traces = broker::published().into_iter().map(|it| it.traceparent);
        assert_eq!(
            traces.collect::<Option<Vec<_>>>().unwrap(),
            ["its own", PUBLISHERS]
        );
    }

    #[test]
    fn one_at_a_time_publishes() {
        assert_eq!(block_on(OUTBOX.claim()), Ok(None), "there is nothing");
        add("t1");
        assert_eq!(block_on(OUTBOX.claim()), Ok(Some(0)));
        assert_eq!(block_on(OUTBOX.claim()), Ok(None), "somebody does already");
        run("UPDATE outbox_progress SET due_at = 1").unwrap();
        assert_eq!(block_on(OUTBOX.claim()), Ok(Some(0)), "the lease has ended");
    }

    #[test]
    fn what_comes_meanwhile_is_not_forgotten() {
        add("t1");
        block_on(OUTBOX.claim()).unwrap();
        add("t2");
        assert_eq!(block_on(OUTBOX.progress(1)), Ok(true), "there is more");
        assert_eq!(subjects(), ["t2"]);
        assert_eq!(block_on(OUTBOX.progress(2)), Ok(false));
        add("t3");
        assert_eq!(
            block_on(OUTBOX.claim()),
            Ok(Some(2)),
            "the lease ended with the work"
        );
    }

    #[test]
    fn progress_never_goes_back() {
        ["t1", "t2"].into_iter().for_each(add);
        block_on(OUTBOX.progress(2)).unwrap();
        block_on(OUTBOX.progress(1)).unwrap();
        assert!(subjects().is_empty());
    }

    #[test]
    fn after_a_failure_there_is_a_pause() {
        add("t1");
        block_on(OUTBOX.claim()).unwrap();
        block_on(OUTBOX.postpone()).unwrap();
        assert_eq!(block_on(OUTBOX.claim()), Ok(None));
        let Some(Column(failures)) = run("SELECT failures FROM outbox_progress").unwrap() else {
            panic!("a row");
        };
        assert_eq!(failures, 1);
        (0..20).for_each(|_| block_on(OUTBOX.postpone()).unwrap());
        let Some(Column(due_at)) = run("SELECT due_at FROM outbox_progress").unwrap() else {
            panic!("a row");
        };
        let pause = due_at - now();
        assert!((3_000..=3_200).contains(&pause), "{pause}");
    }

    #[test]
    fn events_are_neither_changed_nor_lost() {
        add("t1");
        assert!(
            run("UPDATE outbox SET data = '{}'")
                .unwrap_err()
                .violates("events_are_not_changed")
        );
        assert!(
            run("DELETE FROM outbox")
                .unwrap_err()
                .violates("unpublished_events_stay")
        );
        block_on(OUTBOX.progress(1)).unwrap();
        run("DELETE FROM outbox").unwrap();
        add("t2");
        assert_eq!(subjects(), ["t2"], "a position is used once");
    }

    #[test]
    fn what_was_published_long_ago_goes() {
        run("INSERT INTO outbox (type, subject, data) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10010) \
             SELECT 'thing.made', i, '{}' FROM n")
        .unwrap();
        block_on(OUTBOX.progress(10_010)).unwrap();
        let Some(Column(left)) = run("SELECT count(*) FROM outbox").unwrap() else {
            panic!("a row");
        };
        assert_eq!(left, 10_000);
    }

    #[test]
    fn a_batch_is_no_larger_than_the_broker_takes() {
        let data = "x".repeat(20_000);
        for n in 0..60 {
            let sql = format!(
                "INSERT INTO outbox (type, subject, data) VALUES ('thing.made', '{n}', '{{\"x\":\"{data}\"}}')"
            );
            run(&sql).unwrap();
        }
        let mut published = 0;
        let mut batches = 0;
        while let Some(last) = block_on(OUTBOX.after(published)).unwrap().last() {
            let batch = block_on(OUTBOX.after(published)).unwrap();
            let events: Vec<_> = batch.iter().map(|entry| &entry.event).collect();
            assert!(serde_json::to_vec(&events).unwrap().len() < EVENT_LIMIT);
            published = last.position;
            batches += 1;
        }
        assert_eq!((published, batches), (60, 15));
        let huge = "x".repeat(BATCH_BYTES);
        run(&format!("INSERT INTO outbox (type, subject, data) VALUES ('thing.made', 'a', '{{\"x\":\"{huge}\"}}')")).unwrap();
        assert_eq!(block_on(OUTBOX.after(published)).unwrap().len(), 1);
    }

    #[test]
    fn what_waits_is_told_and_looked_up_rather_than_counted() {
        let told = || {
            let gauges = block_on(OUTBOX.gauges()).unwrap();
            assert!(
                gauges
                    .iter()
                    .all(|gauge| gauge.labels["service"] == "things")
            );
            (gauges[0].value, gauges[1].value)
        };
        assert_eq!(told(), (0.0, 0.0));
        run("INSERT INTO outbox (type, subject, data, time) \
             VALUES ('thing.made', 'a', '{}', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-90 seconds'))")
        .unwrap();
        add("t2");
        let (waiting, oldest) = told();
        assert_eq!(waiting, 2.0);
        assert!((89.0..100.0).contains(&oldest), "{oldest}");
        block_on(OUTBOX.progress(1)).unwrap();
        let (waiting, oldest) = told();
        assert_eq!(waiting, 1.0);
        assert!(oldest < 10.0, "{oldest}");
        block_on(OUTBOX.progress(2)).unwrap();
        assert_eq!(told(), (0.0, 0.0));
        let plan = block_on(OUTBOX.database.plan(WAITING, [0.into()])).unwrap();
        assert!(
            plan.iter()
                .all(|step| !step.starts_with("SCAN outbox") || step == "SCAN outbox_progress"),
            "{plan:?}"
        );
    }

    #[test]
    fn a_migration_can_be_repeated() {
        add("t1");
        for statement in MIGRATION.statements() {
            run(statement).unwrap();
        }
        assert_eq!(subjects(), ["t1"]);
    }
}
