//! Spin variables, read once per instance.

use std::sync::{Arc, Mutex, PoisonError};

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

fn read(name: &str) -> Option<Value> {
    let read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    read.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.clone())
}
