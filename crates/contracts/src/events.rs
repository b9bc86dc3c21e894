//! Events, held to the schemas of who publishes them and to the needs of who listens.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::replay::{components, missing};

/// What a consumer needs of the events it listens to: `components/<consumer>/contracts/listens.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listens {
    /// The service.
    pub consumer: String,
    /// By type, the least that must be in the data, as [`crate::replay`] has it of answers.
    pub needs: BTreeMap<String, Value>,
}

/// Says what is wrong with the events that a service publishes; each is CloudEvents in JSON.
///
/// Each fits its schema, `components/<producer>/events/<type>.v<version>.json`, and has what its consumers need. There is one of each
/// schema, so that none goes unseen.
pub fn wrong_with_events(producer: &str, events: &[Value]) -> Vec<String> {
    let listeners = listeners();
    let mut wrong: Vec<_> = events
        .iter()
        .flat_map(|event| wrong_with(event, &listeners))
        .collect();
    for (schema, _) in schemas(producer) {
        if !events.iter().any(|event| event["dataschema"] == *schema) {
            wrong.push(format!("there is no event of {schema}"));
        }
    }
    wrong
}

/// Says what is wrong with an event, whoever published it.
pub fn wrong_with(event: &Value, listeners: &[Listens]) -> Vec<String> {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let (kind, schema) = (text("type"), text("dataschema"));
    let producer = text("source").trim_start_matches("/services/").to_owned();
    let Some(described) = schemas(&producer).remove(&schema) else {
        return vec![format!("{kind}: {producer} has no schema {schema}")];
    };
    let mut wrong = Vec::new();
    match jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&described)
    {
        Ok(validator) => wrong.extend(
            validator
                .iter_errors(&event["data"])
                .map(|error| format!("{kind}: {error} at {}", error.instance_path())),
        ),
        Err(error) => wrong.push(format!("{schema} is no JSON Schema: {error}")),
    }
    for listens in listeners {
        if let Some(needed) = listens.needs.get(&kind) {
            let mut lacks = Vec::new();
            missing(needed, &event["data"], "data", &mut lacks);
            wrong.extend(
                lacks
                    .into_iter()
                    .map(|lack| format!("{kind} for {}: {lack}", listens.consumer)),
            );
        }
    }
    wrong
}

/// The schemas of a service's events, by their `$id`.
///
/// # Panics
/// When one cannot be read.
pub fn schemas(producer: &str) -> BTreeMap<String, Value> {
    let folder = components().join(producer).join("events");
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let schema = |file: fs::DirEntry| {
        let schema = read(&file.path());
        (
            schema["$id"].as_str().unwrap_or_default().to_owned(),
            schema,
        )
    };
    files.map(schema).collect()
}

/// What each consumer needs.
///
/// # Panics
/// When a file cannot be read.
pub fn listeners() -> Vec<Listens> {
    let folders = fs::read_dir(components())
        .expect("the components' folder")
        .flatten();
    let files = folders.map(|folder| folder.path().join("contracts/listens.json"));
    let files = files.filter(|file| file.exists());
    files
        .map(|file| {
            serde_json::from_value(read(&file))
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        })
        .collect()
}

fn read(file: &PathBuf) -> Value {
    let text = fs::read_to_string(file).expect("a readable file");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn deleted(data: Value) -> Value {
        json!({"type": "user.deleted", "source": "/services/users", "dataschema": "/schemas/user.deleted/1", "data": data})
    }

    fn needs(data: Value) -> [Listens; 1] {
        let needs = BTreeMap::from([("user.deleted".to_owned(), data)]);
        let consumer = "somebody".into();
        [Listens { consumer, needs }]
    }

    const ID: &str = "018f0000-0000-7000-8000-000000000001";

    #[test]
    fn an_event_is_held_to_its_schema_and_to_its_consumers_needs() {
        let wrong = |data, needed| wrong_with(&deleted(data), &needs(needed)).len();
        assert_eq!(wrong(json!({"user_id": ID}), json!({"user_id": "any"})), 0);
        assert_eq!(wrong(json!({"user_id": "no id"}), json!({})), 1);
        assert_eq!(wrong(json!({"user_id": ID, "name": "Ada"}), json!({})), 1);
        assert_eq!(wrong(json!({"user_id": ID}), json!({"email": "any"})), 1);
    }

    #[test]
    fn an_event_without_a_schema_is_wrong() {
        let mut event = deleted(json!({"user_id": ID}));
        event["dataschema"] = json!("/schemas/user.deleted/99");
        assert_eq!(wrong_with(&event, &[]).len(), 1);
    }

    #[test]
    fn a_schema_that_no_event_is_of_is_told() {
        let wrong = wrong_with_events("users", &[deleted(json!({"user_id": ID}))]);
        assert_eq!(wrong, ["there is no event of /schemas/user.registered/1"]);
    }
}
