//! Spin variables, read once per instance.

use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use spin_sdk::variables::{self, Error};

use crate::problem::Problem;

type Value = Option<Arc<str>>;

/// What has been read so far: a handful of names, so a list is the fastest map.
static READ: Mutex<Vec<(&str, Value)>> = Mutex::new(Vec::new());

/// The value of a variable; none where the manifest does not give it to this component.
///
/// An instance reads each variable once, so a change is seen by the instances that start after it.
pub async fn get(name: &'static str) -> Result<Option<Arc<str>>, Problem> {
    if let Some(value) = read(name) {
        return Ok(value);
    }
    let value = match variables::get(name).await {
        Ok(value) => Some(Arc::from(value)),
        Err(Error::Undefined(_)) => None,
        Err(error) => {
            return Err(Problem::unavailable("the configuration cannot be read", 1).cause(error));
        }
    };
    READ.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push((name, value.clone()));
    Ok(value)
}

/// What a variable says. One that makes no sense is named in the log and to whoever asks, and nothing is served until it is mended: a shop that does
/// not do what its operator believes would be worse.
pub async fn parsed<T>(
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Problem> {
    let parsed = match get(name).await? {
        Some(value) => parse(&value),
        None => Err("is not granted".into()),
    };
    parsed.map_err(|wrong| misconfigured(&format!("the variable {name} {wrong}")))
}

fn misconfigured(detail: &str) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "misconfigured",
        "The shop is not set up right",
        detail,
    )
    .cause(detail)
}

fn read(name: &str) -> Option<Value> {
    let read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    read.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.clone())
}
