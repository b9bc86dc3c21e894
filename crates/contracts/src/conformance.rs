//! Whether an answer is what the OpenAPI document promises.

use serde_json::{Value, json};

use crate::Answer;

/// Says how an answer differs from what is declared.
pub fn check(document: &Value, method: &str, path: &str, answer: &Answer) -> Result<(), String> {
    let path = path.split('?').next().unwrap_or_default();
    if ["/healthz", "/openapi.json"].contains(&path) {
        return Ok(());
    }
    let method = match method {
        "HEAD" => "get".to_owned(),
        method => method.to_ascii_lowercase(),
    };
    let Some(operation) = operation(document, &method, path) else {
        return match answer.status {
            404 | 405 => Ok(()),
            status => Err(format!(
                "the operation is not declared, but answers {status}"
            )),
        };
    };
    let status = answer.status.to_string();
    let response = operation["responses"]
        .get(&status)
        .ok_or_else(|| format!("the status {status} is not declared"))?;
    match response["content"].as_object() {
        Some(content) => body_fits(document, content, answer),
        None if answer.text.is_empty() => Ok(()),
        None => Err("no body is declared".into()),
    }
}

/// The operation of a path: the one with the fewest parameters, as the router chooses.
fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let paths = document["paths"].as_object()?;
    let (_, item) = paths
        .iter()
        .filter(|(template, _)| fits(template, path))
        .min_by_key(|(template, _)| template.matches('{').count())?;
    item.get(method)
}

fn fits(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(expected), Some(part)) if expected.starts_with('{') && !part.is_empty() => {}
            (Some(expected), Some(part)) if expected == part => {}
            _ => return false,
        }
    }
}

fn body_fits(
    document: &Value,
    content: &serde_json::Map<String, Value>,
    answer: &Answer,
) -> Result<(), String> {
    let media_type = answer.headers.get("content-type");
    let media_type = media_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let declared = content
        .get(media_type)
        .ok_or_else(|| format!("the media type {media_type:?} is not declared"))?;
    if !media_type.ends_with("json") || answer.text.is_empty() {
        return Ok(());
    }
    let schema = json!({"allOf": [declared["schema"]], "components": document["components"]});
    let validator = jsonschema::draft202012::new(&schema).map_err(|error| error.to_string())?;
    let errors: Vec<_> = validator
        .iter_errors(&answer.body)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, text: &str) -> Answer {
        let mut headers = http::HeaderMap::new();
        headers.insert(
            "content-type",
            http::HeaderValue::from_static("application/json"),
        );
        Answer {
            status,
            headers,
            body: serde_json::from_str(text).unwrap_or_default(),
            text: text.into(),
        }
    }

    fn document() -> Value {
        let schema = json!({"$ref": "#/components/schemas/Thing"});
        let thing = json!({"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}});
        json!({
            "paths": {
                "/things/{id}": {"get": {"responses": {
                    "200": {"content": {"application/json": {"schema": schema}}}, "204": {}}}},
                "/things/new": {"get": {"responses": {"204": {}}}},
            },
            "components": {"schemas": {"Thing": thing}},
        })
    }

    #[test]
    fn an_answer_as_declared_is_fine() {
        let check = |path: &str, answer| check(&document(), "GET", path, &answer);
        assert_eq!(check("/things/1?x=y", answer(200, r#"{"size":1}"#)), Ok(()));
        assert_eq!(check("/things/1", answer(204, "")), Ok(()));
        assert_eq!(check("/nothing", answer(404, "{}")), Ok(()));
    }

    #[test]
    fn whatever_is_not_declared_is_told() {
        let check = |path: &str, answer| check(&document(), "GET", path, &answer).is_err();
        assert!(check("/things/1", answer(200, r#"{"size":"1"}"#)));
        assert!(check("/things/1", answer(200, "{}")));
        assert!(check("/things/1", answer(409, "{}")));
        assert!(check("/things/1", answer(204, "{}")));
        assert!(check("/things/new", answer(200, r#"{"size":1}"#)));
        assert!(check("/nothing", answer(200, "{}")));
    }
}
