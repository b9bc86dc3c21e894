//! The log in Redis Streams, for many nodes that share it: one stream, a consumer group for each consumer, and beside it hashes for who
//! delivers and what is held back.
//!
//! Each operation is one Lua script, which Redis runs as one: what a statement and its triggers are to SQLite. A script answers with
//! JSON, since a list in a list would arrive as one long list. All keys share a hash tag, so that a cluster keeps them on one node. What
//! Redis acknowledges survives its end only with `appendonly yes` and `appendfsync always`.
//!
//! | key | |
//! |---|---|
//! | `{souk-events}:log` | the stream; an entry's id is `<position>-0` |
//! | `{souk-events}:last` | the last position |
//! | `{souk-events}:seen:<source>#<id>` | that an event is in the log |
//! | `{souk-events}:consumer:<name>` | how far a consumer has come, who delivers, until when |
//! | `{souk-events}:consumer:<name>:held`, `:dead` | what is held back, and dead letters, by position |

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use souk_chassis::background::now;
use souk_chassis::page::Part;
use souk_events::Event;
use spin_sdk::redis::{Connection, RedisParameter, RedisResult};

use super::{Appended, Claimed, Error, Lease, Listed, Work};
use crate::api::{EventFilter, LetterFilter};
use crate::delivery::{MOST_HELD, MOST_RETRIED, WINDOW};
use crate::domain::{
    DeadLetter, HeldBack, Hold, Item, Logged, Origin, Progress, Standing, Subscription, letter_id,
    rfc3339,
};

const LOG: &str = "{souk-events}:log";
const LAST: &str = "{souk-events}:last";
const SEEN: &str = "{souk-events}:seen:";
const CONSUMER: &str = "{souk-events}:consumer:";

/// For how long an event is remembered beyond the time that the log is kept, in seconds.
const REMEMBERED_LONGER: i64 = 24 * 60 * 60;

/// How many entries of the log are read at a time where a list is filtered, and how often.
const PAGE: i64 = 500;
const MOST_PAGES: usize = 20;

/// A Redis server, by its address.
pub struct Redis(pub String);

/// A hold as it is kept.
#[derive(Deserialize)]
struct Kept {
    #[serde(flatten)]
    hold: Hold,
    source: String,
    subject: String,
    since: i64,
}

impl Redis {
    async fn run(
        &self,
        script: &str,
        keys: &[&str],
        arguments: Vec<String>,
    ) -> Result<String, Error> {
        let binary = |text: &str| RedisParameter::Binary(text.as_bytes().to_vec());
        let mut parameters = vec![
            binary(script),
            RedisParameter::Int64(keys.len().try_into().unwrap_or(0)),
        ];
        parameters.extend(keys.iter().map(|key| binary(key)));
        parameters.extend(arguments.iter().map(|argument| binary(argument)));
        let failed = |error: spin_sdk::redis::Error| Error::Redis(error.to_string());
        let connection = Connection::open(&self.0).await.map_err(failed)?;
        let answer = connection
            .execute("EVAL", parameters)
            .await
            .map_err(failed)?;
        match answer.into_iter().next() {
            Some(RedisResult::Binary(text)) => {
                String::from_utf8(text).map_err(|_| unexpected("bytes"))
            }
            Some(RedisResult::Status(text)) => Ok(text),
            Some(RedisResult::Int64(number)) => Ok(number.to_string()),
            Some(RedisResult::Nil) | None => Err(unexpected("nothing")),
        }
    }

    pub async fn append(&self, events: &[Event], retention: i64) -> Result<Appended, Error> {
        let remembered = retention / 1000 + REMEMBERED_LONGER;
        let mut arguments = vec![now().to_string(), remembered.to_string()];
        for event in events {
            arguments.extend([event.key(), written(event)]);
        }
        let appended = self
            .run(
                include_str!("redis/append.lua"),
                &[LOG, LAST, SEEN],
                arguments,
            )
            .await?;
        let appended = appended.parse().map_err(|_| unexpected(&appended))?;
        Ok(Appended {
            appended,
            known: events.len() - appended,
        })
    }

    pub async fn claim(
        &self,
        subscriptions: &[&Subscription],
        lease: &str,
        now: i64,
        lease_ends: i64,
    ) -> Result<Vec<Claimed>, Error> {
        let mut arguments = vec![now.to_string(), lease.to_owned(), lease_ends.to_string()];
        arguments.extend(subscriptions.iter().map(|it| it.consumer.clone()));
        let claimed = self
            .run(
                include_str!("redis/claim.lua"),
                &[LOG, LAST, CONSUMER],
                arguments,
            )
            .await?;
        let claimed: Vec<(String, i64)> = read(&claimed)?;
        let claimed = claimed.into_iter();
        Ok(claimed
            .map(|(consumer, failures)| Claimed { consumer, failures })
            .collect())
    }

    pub async fn work(&self, consumer: &str, now: i64) -> Result<Work, Error> {
        #[derive(Deserialize)]
        struct Read {
            position: i64,
            #[serde(default)]
            held: Vec<(String, serde_json::Value)>,
            #[serde(default)]
            entries: Vec<(String, String)>,
        }
        let numbers = [now, WINDOW, MOST_HELD, MOST_RETRIED].map(|number| number.to_string());
        let arguments = [consumer.to_owned()].into_iter().chain(numbers).collect();
        let keys = [LOG, &key(consumer), &held(consumer), LAST];
        let found: Read = read(
            &self
                .run(include_str!("redis/work.lua"), &keys, arguments)
                .await?,
        )?;
        let mut items = Vec::new();
        let mut blocked = BTreeSet::new();
        for (value, event) in found.held {
            let kept: Kept = read(&value)?;
            blocked.insert((kept.source, kept.subject));
            if let Some(event) = event.as_str() {
                items.push(Item {
                    position: kept.hold.position,
                    event: read(event)?,
                    attempts: kept.hold.attempts,
                    origin: Origin::Held,
                });
            }
        }
        items.sort_by_key(|item| item.position);
        let mut scanned = found.position;
        for (id, event) in &found.entries {
            let event: Event = read(event)?;
            scanned = position_of(id)?;
            let origin = match blocked.contains(&(event.source.clone(), event.subject.clone())) {
                true => Origin::Behind,
                false => Origin::Log,
            };
            items.push(Item {
                position: scanned,
                event,
                attempts: 0,
                origin,
            });
        }
        Ok(Work {
            items,
            scanned,
            advances: !found.entries.is_empty(),
        })
    }

    pub async fn progress(
        &self,
        consumer: &str,
        lease: &str,
        work: &Work,
        progress: &Progress,
        lease_ends: i64,
    ) -> Result<Lease, Error> {
        let (why, due_at) = match &progress.rest {
            Some((why, due_at)) => (why.as_str(), *due_at),
            None => ("", lease_ends),
        };
        let changes = json!({"hold": progress.hold, "done": progress.done});
        let mut arguments = vec![
            consumer.to_owned(),
            lease.to_owned(),
            progress.position.to_string(),
            due_at.to_string(),
            why.to_owned(),
            changes.to_string(),
            now().to_string(),
        ];
        let read = work.items.iter().filter(|item| item.origin != Origin::Held);
        let passed = read
            .map(|item| item.position)
            .filter(|position| *position <= progress.position);
        arguments.extend(passed.map(|position| format!("{position}-0")));
        let keys = [LOG, &key(consumer), &held(consumer), &dead(consumer), LAST];
        let script = include_str!("redis/progress.lua");
        Ok(match &*self.run(script, &keys, arguments).await? {
            "held" => Lease::Held,
            "ended" => Lease::Ended,
            _ => Lease::Lost,
        })
    }

    pub async fn release(
        &self,
        consumer: &str,
        lease: &str,
        now: i64,
    ) -> Result<Option<Option<i64>>, Error> {
        let arguments = vec![lease.to_owned(), now.to_string(), MOST_HELD.to_string()];
        let keys = [LAST, &key(consumer), &held(consumer)];
        let released = self
            .run(include_str!("redis/release.lua"), &keys, arguments)
            .await?;
        match &*released {
            "more" => Ok(None),
            "lost" | "nothing" => Ok(Some(None)),
            due_at => due_at
                .parse()
                .map(|due_at| Some(Some(due_at)))
                .map_err(|_| unexpected(due_at)),
        }
    }

    pub async fn prune(&self, subscriptions: &[Subscription], before: i64) -> Result<(), Error> {
        let mut arguments = vec![before.to_string()];
        arguments.extend(names(subscriptions));
        self.run(include_str!("redis/prune.lua"), &[LOG, CONSUMER], arguments)
            .await
            .map(drop)
    }

    /// Reads back through the log until there are enough that fit, or it has read some thousand entries.
    pub async fn list(&self, filter: &EventFilter) -> Result<Listed, Error> {
        let mut listed = Listed {
            events: Vec::new(),
            read_to: None,
        };
        let (after, mut before) = filter.between();
        let wanted = usize::try_from(filter.limit + 1).unwrap_or(usize::MAX);
        for _ in 0..MOST_PAGES {
            let arguments = [before, after, PAGE].map(|it| it.to_string()).into();
            let page = self
                .run(include_str!("redis/list.lua"), &[LOG], arguments)
                .await?;
            let page: Vec<(String, i64, String)> = read(&page)?;
            let Some((last, _, _)) = page.last() else {
                listed.read_to = None;
                return Ok(listed);
            };
            before = position_of(last)?;
            listed.read_to = Some(before);
            for (id, appended_at, event) in &page {
                let logged = Logged {
                    position: position_of(id)?,
                    appended_at: rfc3339(*appended_at),
                    event: read(event)?,
                };
                if filter.fits(&logged.event) {
                    listed.events.push(logged);
                }
                if listed.events.len() == wanted {
                    return Ok(listed);
                }
            }
        }
        Ok(listed)
    }

    pub async fn standings(&self, subscriptions: &[Subscription]) -> Result<Vec<Standing>, Error> {
        let mut arguments = vec![now().to_string()];
        arguments.extend(names(subscriptions));
        let standings = self.run(
            include_str!("redis/standings.lua"),
            &[LOG, LAST, CONSUMER],
            arguments,
        );
        read(&standings.await?)
    }

    pub async fn held(&self, consumer: &str, part: &Part<i64>) -> Result<Vec<HeldBack>, Error> {
        let (after, limit) = (part.after.unwrap_or(0), part.limit + 1);
        let (keys, arguments) = (
            [LOG, &held(consumer)],
            vec![after.to_string(), limit.to_string()],
        );
        let found = self
            .run(include_str!("redis/held.lua"), &keys, arguments)
            .await?;
        let found: Vec<(String, String)> = read(&found)?;
        let held_back = |(value, event): (String, String)| {
            let Kept { hold, since, .. } = read(&value)?;
            Ok(HeldBack::new(consumer, hold, since, read(&event)?))
        };
        found.into_iter().map(held_back).collect()
    }

    pub async fn replay(&self, consumer: &str, position: i64) -> Result<bool, Error> {
        let arguments = vec![consumer.to_owned(), position.to_string()];
        let keys = [LOG, LAST, &key(consumer), &held(consumer), &dead(consumer)];
        Ok(self
            .run(include_str!("redis/replay.lua"), &keys, arguments)
            .await?
            == "1")
    }

    pub async fn dead_letters(
        &self,
        subscriptions: &[Subscription],
        filter: &LetterFilter,
    ) -> Result<Vec<DeadLetter>, Error> {
        let (position, after) = filter.after.clone().unzip();
        let position = position.map_or("+".into(), |position: i64| position.to_string());
        let limit = (filter.limit + 1).to_string();
        let mut arguments = vec![position, after.unwrap_or_default(), limit];
        let wanted = |it: &String| filter.consumer.as_ref().is_none_or(|wanted| wanted == it);
        arguments.extend(names(subscriptions).into_iter().filter(wanted));
        let letters = self.run(
            include_str!("redis/letters.lua"),
            &[LOG, CONSUMER],
            arguments,
        );
        let letters: Vec<(String, String, String)> = read(&letters.await?)?;
        let letter = |(consumer, value, event): (String, String, String)| {
            let Kept { hold, since, .. } = read(&value)?;
            Ok(DeadLetter {
                id: letter_id(&consumer, hold.position),
                consumer,
                position: hold.position,
                attempts: hold.attempts,
                reason: hold.reason,
                since: rfc3339(since),
                event: read(&event)?,
            })
        };
        letters.into_iter().map(letter).collect()
    }

    pub async fn redeliver(&self, consumer: &str, position: i64) -> Result<bool, Error> {
        let arguments = vec![position.to_string(), now().to_string()];
        let keys = [&*key(consumer), &held(consumer), &dead(consumer)];
        Ok(self
            .run(include_str!("redis/redeliver.lua"), &keys, arguments)
            .await?
            == "1")
    }
}

fn names(subscriptions: &[Subscription]) -> Vec<String> {
    subscriptions.iter().map(|it| it.consumer.clone()).collect()
}

fn key(consumer: &str) -> String {
    format!("{CONSUMER}{consumer}")
}

fn held(consumer: &str) -> String {
    format!("{CONSUMER}{consumer}:held")
}

fn dead(consumer: &str) -> String {
    format!("{CONSUMER}{consumer}:dead")
}

/// The position in an id such as `17-0`.
fn position_of(id: &str) -> Result<i64, Error> {
    let position = id
        .split('-')
        .next()
        .and_then(|position| position.parse().ok());
    position.ok_or_else(|| unexpected(id))
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, Error> {
    serde_json::from_str(json)
        .map_err(|error| Error::Redis(format!("what is kept makes no sense: {error}")))
}

fn written(event: &Event) -> String {
    serde_json::to_string(event).expect("an event is plain data")
}

fn unexpected(answer: &str) -> Error {
    Error::Redis(format!("an answer was not expected: {answer}"))
}
