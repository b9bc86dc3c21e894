//! Contracts that consumers keep.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use souk_chassis::Service;
use souk_tokens::Role;

use crate::Ask;

/// One request a consumer makes, and what it needs of the answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interaction {
    /// What the consumer does with it.
    pub description: String,
    /// The state the provider is in.
    pub given: String,
    request: Request,
    response: Response,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    #[serde(default)]
    r#as: Caller,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Caller {
    service: Option<String>,
    user: Option<String>,
    role: Option<Role>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Response {
    status: u16,
    #[serde(default)]
    body: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contract {
    consumer: String,
    provider: String,
    interactions: Vec<Interaction>,
}

/// Makes every request that a consumer's contract with this service has. `set_up` brings the service into the named state and
/// returns what fills the placeholders; each interaction has a thread, and so a database, of its own.
///
/// # Panics
/// When an answer lacks what a consumer needs, or there is no contract at all.
pub fn replay(
    service: &'static Service,
    set_up: impl Fn(&str) -> BTreeMap<String, String> + Send + Sync + Copy,
) {
    let interactions = interactions(service.name());
    assert!(
        !interactions.is_empty(),
        "nobody has a contract with {}",
        service.name()
    );
    for (consumer, interaction) in interactions {
        let named = format!("{consumer}: {}", interaction.description);
        let outcome = std::thread::scope(|scope| {
            let replayed = scope.spawn(|| interaction.replay(service, &set_up(&interaction.given)));
            replayed.join()
        });
        match outcome {
            Ok(missing) => assert!(missing.is_empty(), "{named}: {}", missing.join("; ")),
            Err(_) => panic!("{named}: the replay panicked, see above"),
        }
    }
}

/// The interactions of all consumers with a provider, each with its consumer's name.
///
/// # Panics
/// When a contract cannot be read.
pub fn interactions(provider: &str) -> Vec<(String, Interaction)> {
    let components = components();
    let mut files: Vec<_> = fs::read_dir(&components)
        .expect("the components' folder")
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            Some(folder.join(format!("contracts/{provider}.json")))
        })
        .filter(|file| file.exists())
        .collect();
    files.sort();
    files.iter().flat_map(|file| read(file, provider)).collect()
}

fn read(file: &Path, provider: &str) -> Vec<(String, Interaction)> {
    let text = fs::read_to_string(file).expect("a readable file");
    let contract: Contract =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert_eq!(contract.provider, provider, "{}", file.display());
    let consumer = contract.consumer;
    let interactions = contract.interactions.into_iter();
    interactions
        .map(|interaction| (consumer.clone(), interaction))
        .collect()
}

/// `components/` of the checkout that this crate is built in.
pub fn components() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../components")
}

impl Interaction {
    /// Makes the request, and says what the answer lacks.
    fn replay(&self, service: &'static Service, values: &BTreeMap<String, String>) -> Vec<String> {
        let caller = &self.request.r#as;
        let user = caller.user.as_deref().map(|user| fill(user, values));
        let mut ask = Ask::of(service);
        if caller.service.is_some() || user.is_some() {
            ask = ask.by(caller.service.as_deref(), user.as_deref(), caller.role);
        }
        for (name, value) in &self.request.headers {
            ask = ask.header(name, &fill(value, values));
        }
        if let Some(body) = &self.request.body {
            ask = ask.json(filled(body, values));
        }
        let answer = ask.send(&self.request.method, &fill(&self.request.path, values));
        if answer.status != self.response.status {
            return vec![format!(
                "the status is {} and not {}: {}",
                answer.status, self.response.status, answer.text
            )];
        }
        let mut lacks = Vec::new();
        if let Some(expected) = &self.response.body {
            missing(&filled(expected, values), &answer.body, "$", &mut lacks);
        }
        lacks
    }
}

/// Puts values in the place of `{name}`s.
fn fill(text: &str, values: &BTreeMap<String, String>) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{name}}}"), value)
    })
}

fn filled(value: &Value, values: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => fill(text, values).into(),
        Value::Array(items) => items.iter().map(|item| filled(item, values)).collect(),
        Value::Object(fields) => {
            let filled = |(name, value): (&String, &Value)| (name.clone(), filled(value, values));
            fields.iter().map(filled).collect()
        }
        value => value.clone(),
    }
}

/// Notes what of the expected is not in the actual.
pub fn missing(expected: &Value, actual: &Value, path: &str, lacks: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for (name, expected) in expected {
                let path = format!("{path}.{name}");
                match actual.get(name) {
                    Some(actual) => missing(expected, actual, &path, lacks),
                    None => lacks.push(format!("{path} is not there")),
                }
            }
        }
        (Value::Array(expected), Value::Array(actual)) => {
            let Some(example) = expected.first() else {
                return;
            };
            if actual.is_empty() {
                lacks.push(format!("{path} is empty"));
            }
            for (index, actual) in actual.iter().enumerate() {
                missing(example, actual, &format!("{path}[{index}]"), lacks);
            }
        }
        (Value::String(expected), Value::String(actual)) => {
            if let Some(expected) = expected.strip_prefix('=')
                && expected != actual
            {
                lacks.push(format!("{path} is {actual:?} and not {expected:?}"));
            }
        }
        (expected, actual) => {
            let same_type = matches!(
                (expected, actual),
                (Value::Null, Value::Null)
                    | (Value::Bool(_), Value::Bool(_))
                    | (Value::Number(_), Value::Number(_))
            );
            if !same_type {
                lacks.push(format!("{path} is {actual}, which is not like {expected}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lacks(expected: Value, actual: Value) -> Vec<String> {
        let mut lacks = Vec::new();
        missing(&expected, &actual, "$", &mut lacks);
        lacks
    }

    #[test]
    fn more_than_the_least_is_fine() {
        let expected = json!({"state": "=open", "lines": [{"quantity": 1}], "note": "any"});
        let actual = json!({"state": "open", "lines": [{"quantity": 2, "x": 1}, {"quantity": 3}], "note": "x", "y": null});
        assert_eq!(lacks(expected, actual), Vec::<String>::new());
        assert!(lacks(json!([]), json!([1])).is_empty());
    }

    #[test]
    fn less_than_the_least_is_not() {
        for (expected, actual) in [
            (json!({"a": 1}), json!({})),
            (json!({"a": 1}), json!({"a": "1"})),
            (json!({"a": "=x"}), json!({"a": "y"})),
            (json!([{"a": 1}]), json!([])),
            (json!([{"a": 1}]), json!([{"a": 1}, {"a": null}])),
            (json!({}), json!([])),
        ] {
            assert_eq!(lacks(expected, actual).len(), 1);
        }
    }

    #[test]
    fn placeholders_are_filled_everywhere() {
        let values = BTreeMap::from([("id".to_owned(), "7".to_owned())]);
        assert_eq!(fill("/things/{id}/{other}", &values), "/things/7/{other}");
        assert_eq!(
            filled(&json!({"a": ["{id}", 1]}), &values),
            json!({"a": ["7", 1]})
        );
    }
}
