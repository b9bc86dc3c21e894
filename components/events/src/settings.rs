//! What the operator has set, read once per instance.

use std::sync::OnceLock;

use souk_chassis::Problem;
#[cfg(not(test))]
use souk_chassis::variables;

use crate::domain::Subscription;
use crate::store::Redis;

/// How often an event is tried unless told: with the pauses between, for ten to twenty minutes.
const ATTEMPTS: i64 = 30;

/// For how many days the log is kept unless told.
const RETENTION_DAYS: i64 = 7;

/// Who gets which events.
pub fn subscriptions() -> Result<&'static [Subscription], Problem> {
    static READ: OnceLock<Vec<Subscription>> = OnceLock::new();
    if let Some(read) = READ.get() {
        return Ok(read);
    }
    let read = parse(&file()?)?;
    Ok(READ.get_or_init(|| read))
}

/// The file that the manifest mounts.
#[cfg(not(test))]
fn file() -> Result<String, Problem> {
    std::fs::read_to_string("/subscriptions.json")
        .map_err(|error| Problem::internal(format!("subscriptions.json cannot be read: {error}")))
}

#[cfg(test)]
fn file() -> Result<String, Problem> {
    Ok(r#"[{"consumer": "first", "types": ["thing.*"]}, {"consumer": "second", "types": ["thing.made"]}]"#.into())
}

fn parse(file: &str) -> Result<Vec<Subscription>, Problem> {
    serde_json::from_str(file).map_err(|error| {
        Problem::internal(format!(
            "subscriptions.json is not as it should be: {error}"
        ))
    })
}

/// Where the log is.
pub enum Broker {
    /// In the service's own database.
    Sqlite,
    /// In Redis Streams.
    Redis(Redis),
}

/// Where the log is, as the variables say.
pub async fn broker() -> Result<Broker, Problem> {
    match variable("broker").await?.as_deref() {
        None | Some("" | "sqlite") => Ok(Broker::Sqlite),
        Some("redis") => {
            let told =
                async |name| Ok::<_, Problem>(variable(name).await?.filter(|url| !url.is_empty()));
            let address = match told("broker_redis_login").await? {
                Some(address) => Some(address),
                None => told("broker_redis_url").await?,
            };
            let address = address.ok_or_else(|| {
                Problem::internal("the variable broker_redis_url must say where Redis is")
            })?;
            Ok(Broker::Redis(Redis(address.to_string())))
        }
        Some(_) => Err(Problem::internal(
            "the variable broker must be sqlite or redis",
        )),
    }
}

/// How often an event is tried before it is a dead letter.
pub async fn most_attempts() -> Result<i64, Problem> {
    number("event_attempts", ATTEMPTS).await
}

/// For how long the log is kept, in milliseconds.
pub async fn retention() -> Result<i64, Problem> {
    Ok(number("event_retention_days", RETENTION_DAYS).await? * 24 * 60 * 60 * 1000)
}

async fn number(name: &'static str, unless_told: i64) -> Result<i64, Problem> {
    let value = variable(name).await?;
    match value.as_deref() {
        None | Some("") => Ok(unless_told),
        Some(value) => value
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| {
                Problem::internal(format!(
                    "the variable {name} must be a whole number above zero"
                ))
            }),
    }
}

#[cfg(not(test))]
use variables::get as variable;

#[cfg(test)]
async fn variable(_: &str) -> Result<Option<std::sync::Arc<str>>, Problem> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_shops_own_subscriptions_can_be_read() {
        let subscriptions = parse(include_str!("../config/subscriptions.json")).unwrap();
        assert!(
            subscriptions
                .iter()
                .any(|it| it.consumer == "notifications" && it.wants("order.confirmed"))
        );
    }

    #[test]
    fn subscriptions_that_make_no_sense_are_refused() {
        assert!(parse("[{\"consumer\": \"a\"}]").is_err());
        assert!(parse("[{\"consumer\": \"a\", \"types\": [], \"typo\": 1}]").is_err());
    }
}
