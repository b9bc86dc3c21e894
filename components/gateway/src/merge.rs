//! Merging the contracts of all services into one. Pure: no I/O.
//!
//! Of each service those operations are kept that the route table leads to, so that what is documented can be reached; to
//! each is added what the gateway itself may answer. Schemas that have one name and are not the same get their service's
//! name before theirs, also where they differ only in what they refer to.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::{Map, Value, json};

use crate::routes::{self, Access, Route};

/// What a service says of itself, in OpenAPI 3.1.
pub struct Contract {
    /// The service.
    pub service: &'static str,
    /// Its document.
    pub document: Value,
}

const SCHEMAS: &str = "#/components/schemas/";
const HEADERS: &str = "#/components/headers/";
const RESPONSES: &str = "#/components/responses/";

/// The problems that the gateway may answer with itself: status, name, and what it means.
const PROBLEMS: [(u16, &str, &str); 11] = [
    (
        401,
        "Unauthorized",
        "The access token is missing, not valid or has expired",
    ),
    (403, "Forbidden", "This is not for the caller"),
    (404, "NotFound", "There is no such thing"),
    (408, "RequestTimeout", "The body did not arrive in time"),
    (413, "ContentTooLarge", "The body is too large"),
    (414, "UriTooLong", "The address is too long"),
    (429, "TooManyRequests", "Too many requests"),
    (431, "HeadersTooLarge", "The headers are too large"),
    (502, "BadGateway", "The service failed"),
    (
        503,
        "ServiceUnavailable",
        "The service is not available now",
    ),
    (504, "GatewayTimeout", "The service did not answer in time"),
];

/// The contract of the shop: the gateway's own and those of the other services. Services whose contract is missing are
/// named in it.
pub fn merge(mut own: Contract, others: Vec<Contract>, missing: &[&str]) -> Value {
    own.document["components"]["responses"] = responses().into();
    let mut contracts = vec![own];
    contracts.extend(others);
    for contract in &mut contracts {
        keep_public(contract);
    }
    rename_clashes(&mut contracts);

    let (mut paths, mut schemas) = (Map::new(), Map::new());
    let (mut responses, mut tags) = (Map::new(), Vec::new());
    for Contract { service, document } in &mut contracts {
        tags.push(json!({"name": service, "description": document["info"]["description"]}));
        for (path, operations) in take(document, "/paths") {
            let merged = paths.entry(path).or_insert_with(|| json!({}));
            if let (Value::Object(merged), Value::Object(operations)) = (merged, operations) {
                merged.extend(operations);
            }
        }
        schemas.extend(take(document, "/components/schemas"));
        responses.extend(take(document, "/components/responses"));
    }
    let used = reachable(paths.values().chain(responses.values()), &schemas);
    schemas.retain(|name, _| used.contains(name));
    let mut merged = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Souk",
            "description": "An online shop: accounts, catalogue, cart, stock, orders, payments. Errors are RFC 9457 problems.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {"schemas": schemas, "responses": responses, "headers": headers(), "securitySchemes": {
            "accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "metricsToken": {"type": "http", "scheme": "bearer", "description": "What the operator has set to scrape metrics with"},
        }},
    });
    if !missing.is_empty() {
        let warning = |service| json!({"service": service, "detail": "its contract cannot be had at the moment"});
        merged["x-warnings"] = missing.iter().map(warning).collect();
    }
    merged
}

/// Keeps the operations that can be reached through the gateway, and adds to each what that means.
fn keep_public(contract: &mut Contract) {
    let service = contract.service;
    let mut public = Map::new();
    for (path, operations) in take(&mut contract.document, "/paths") {
        let Value::Object(operations) = operations else {
            continue;
        };
        let mut kept = Map::new();
        for (method, mut operation) in operations {
            let route = method_of(&method).and_then(|method| routes::find_template(&method, &path));
            if let Some(route) = route.filter(|route| route.service == service) {
                complete(&mut operation, route, path.contains('{'));
                kept.insert(method, operation);
            }
        }
        if !kept.is_empty() {
            public.insert(path, kept.into());
        }
    }
    contract.document["paths"] = public.into();
}

fn method_of(name: &str) -> Option<Method> {
    let methods = ["get", "post", "put", "patch", "delete"];
    methods
        .contains(&name)
        .then(|| name.to_ascii_uppercase())?
        .parse()
        .ok()
}

/// Adds to an operation what the gateway does: who may use it, what else it may answer, and the headers of every answer.
fn complete(operation: &mut Value, route: &Route, has_parameters: bool) {
    operation["tags"] = json!([route.service]);
    let signed_in = json!({"accessToken": []});
    let service_asks = operation["security"].is_array();
    operation["security"] = match route.access {
        Access::Anyone if !service_asks => json!([{}, signed_in]),
        Access::Monitor => json!([{"metricsToken": []}]),
        _ => json!([signed_in]),
    };
    let mut problems = vec![401, 414, 429, 431, 502, 503, 504];
    if route.access == Access::Admin {
        problems.push(403);
    }
    if has_parameters {
        problems.push(404);
    }
    if operation["requestBody"].is_object() {
        problems.extend([408, 413]);
    }
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    for (status, response) in responses.iter_mut() {
        add_headers(response, status.parse().unwrap_or_default());
    }
    for (status, name, _) in PROBLEMS {
        if problems.contains(&status) {
            responses
                .entry(status.to_string())
                .or_insert_with(|| json!({"$ref": format!("{RESPONSES}{name}")}));
        }
    }
}

/// The problems as responses that operations refer to.
fn responses() -> Map<String, Value> {
    let schema = json!({"$ref": format!("{SCHEMAS}Problem")});
    let response = |(status, name, description): &(u16, &str, &str)| {
        let mut response = json!({"description": description, "content": {"application/problem+json": {"schema": schema}}});
        add_headers(&mut response, *status);
        ((*name).to_owned(), response)
    };
    PROBLEMS.iter().map(response).collect()
}

fn add_headers(response: &mut Value, status: u16) {
    let limits = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"];
    let retry = matches!(status, 429 | 503).then_some("Retry-After");
    for header in limits.into_iter().chain(retry) {
        response["headers"][header] = json!({"$ref": format!("{HEADERS}{header}")});
    }
}

fn headers() -> Value {
    let header = |description| json!({"description": description, "schema": {"type": "integer", "minimum": 0}});
    json!({
        "RateLimit-Limit": header("How many requests may be made at once"),
        "RateLimit-Remaining": header("How many of them are left"),
        "RateLimit-Reset": header("After how many seconds all of them are there again"),
        "Retry-After": header("After how many seconds to ask again"),
    })
}

/// Gives schemas of one name that are not the same a name of their own.
fn rename_clashes(contracts: &mut [Contract]) {
    let clashing = clashing(contracts);
    for Contract { service, document } in contracts {
        let renamed = |name: &str| match clashing.contains(name) {
            true => format!("{service}_{name}"),
            false => name.to_owned(),
        };
        rewrite(document, &renamed);
        let schemas = take(document, "/components/schemas").into_iter();
        let schemas: Map<_, _> = schemas
            .map(|(name, schema)| (renamed(&name), schema))
            .collect();
        document["components"]["schemas"] = schemas.into();
    }
}

/// The names that stand for different schemas, or for schemas that refer to such names.
fn clashing(contracts: &[Contract]) -> BTreeSet<String> {
    let mut variants: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for contract in contracts {
        let schemas = contract.document["components"]["schemas"].as_object();
        for (name, schema) in schemas.into_iter().flatten() {
            variants.entry(name).or_default().push(schema);
        }
    }
    let mut clashing = BTreeSet::new();
    loop {
        let clashes = |(name, schemas): &(&&str, &Vec<&Value>)| {
            !clashing.contains(**name)
                && schemas.len() > 1
                && schemas
                    .iter()
                    .any(|schema| *schema != schemas[0] || refers(schema, &clashing))
        };
        let found: Vec<_> = variants
            .iter()
            .filter(clashes)
            .map(|(name, _)| (*name).to_owned())
            .collect();
        if found.is_empty() {
            return clashing;
        }
        clashing.extend(found);
    }
}

fn refers(schema: &Value, names: &BTreeSet<String>) -> bool {
    references(schema).iter().any(|name| names.contains(*name))
}

/// The schemas that these values need, directly or through others.
fn reachable<'a>(
    values: impl Iterator<Item = &'a Value>,
    schemas: &'a Map<String, Value>,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest: Vec<_> = values.flat_map(references).collect();
    while let Some(name) = rest.pop() {
        if found.insert(name.to_owned()) {
            rest.extend(schemas.get(name).map(references).unwrap_or_default());
        }
    }
    found
}

/// The names of the schemas that a value refers to.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(values) => values.iter().flat_map(references).collect(),
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str);
            let own = own.and_then(|reference| reference.strip_prefix(SCHEMAS));
            own.into_iter()
                .chain(members.values().flat_map(references))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Gives every schema that is referred to its new name.
fn rewrite(value: &mut Value, renamed: &impl Fn(&str) -> String) {
    match value {
        Value::Array(values) => {
            for value in values {
                rewrite(value, renamed);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "$ref" => {
                        if let Some(schema) = text.strip_prefix(SCHEMAS) {
                            *text = format!("{SCHEMAS}{}", renamed(schema));
                        }
                    }
                    value => rewrite(value, renamed),
                }
            }
        }
        _ => {}
    }
}

/// Takes an object out of a document; empty where there is none.
fn take(document: &mut Value, pointer: &str) -> Map<String, Value> {
    match document.pointer_mut(pointer).map(Value::take) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn operation(schema: &str) -> Value {
        let schema = json!({"$ref": format!("{SCHEMAS}{schema}")});
        json!({"responses": {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}}})
    }

    fn contract(service: &'static str, paths: Value, mut schemas: Value) -> Contract {
        schemas["Problem"] = json!({"type": "object"});
        let info = json!({"title": service, "description": format!("All about {service}.")});
        let document = json!({"info": info, "paths": paths, "components": {"schemas": schemas}});
        Contract { service, document }
    }

    fn merged(others: Vec<Contract>) -> Value {
        merge(contract("gateway", json!({}), json!({})), others, &[])
    }

    fn schema(document: &Value, path: &str) -> String {
        let pointer = format!(
            "/paths/{}/get/responses/200/content/application~1json/schema/$ref",
            path.replace('/', "~1")
        );
        let reference = document.pointer(&pointer).unwrap().as_str().unwrap();
        let name = reference.strip_prefix(SCHEMAS).unwrap();
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name}"
        );
        name.to_owned()
    }

    fn statuses(operation: &Value) -> Vec<&str> {
        let responses = operation["responses"].as_object().unwrap();
        responses.keys().map(String::as_str).collect()
    }

    #[test]
    fn only_what_can_be_reached_is_documented() {
        let paths = json!({
            "/api/orders/{order_id}": {"get": operation("Order"), "put": operation("Order")},
            "/api/products": {"get": operation("Order")},
            "/internal/tick": {"post": operation("Secret")},
            "/healthz": {"get": operation("Secret")},
        });
        let schemas = json!({
            "Order": {"properties": {"lines": {"items": {"$ref": format!("{SCHEMAS}Line")}}}},
            "Line": {"type": "object"},
            "Secret": {"type": "object"},
        });
        let merged = merged(vec![contract("orders", paths, schemas)]);
        let paths = merged["paths"].as_object().unwrap();
        assert_eq!(paths.keys().collect::<Vec<_>>(), ["/api/orders/{order_id}"]);
        let operations = paths["/api/orders/{order_id}"].as_object().unwrap();
        assert_eq!(operations.keys().collect::<Vec<_>>(), ["get"]);
        let schemas = merged["components"]["schemas"].as_object().unwrap();
        assert_eq!(
            schemas.keys().collect::<Vec<_>>(),
            ["Line", "Order", "Problem"]
        );
        assert_eq!(
            merged["tags"][1],
            json!({"name": "orders", "description": "All about orders."})
        );
        assert!(merged.get("x-warnings").is_none());
    }

    #[test]
    fn what_the_gateway_may_answer_is_added() {
        let mut post = operation("Order");
        post["requestBody"] = json!({});
        post["responses"]["503"] = json!({"description": "as the service says it"});
        let paths = json!({
            "/api/orders": {"post": post},
            "/api/orders/{id}/ship": {"post": operation("Order")},
            "/api/orders/{id}": {"get": operation("Order")},
        });
        let merged = merged(vec![contract("orders", paths, json!({"Order": {}}))]);
        let post = &merged["paths"]["/api/orders"]["post"];
        assert_eq!(
            statuses(post),
            [
                "200", "401", "408", "413", "414", "429", "431", "502", "503", "504"
            ]
        );
        assert_eq!(
            post["responses"]["503"]["description"],
            "as the service says it"
        );
        assert_eq!(post["security"], json!([{"accessToken": []}]));
        let too_many = &merged["components"]["responses"]["TooManyRequests"];
        assert_eq!(
            post["responses"]["429"]["$ref"],
            "#/components/responses/TooManyRequests"
        );
        for response in [
            too_many,
            &post["responses"]["200"],
            &post["responses"]["503"],
        ] {
            let limit = &response["headers"]["RateLimit-Limit"]["$ref"];
            assert_eq!(limit, "#/components/headers/RateLimit-Limit");
        }
        assert!(too_many["headers"]["Retry-After"].is_object());
        let ship = statuses(&merged["paths"]["/api/orders/{id}/ship"]["post"]);
        assert!(ship.contains(&"403") && ship.contains(&"404"));
        let show = statuses(&merged["paths"]["/api/orders/{id}"]["get"]);
        assert!(!show.contains(&"403") && show.contains(&"404"));
    }

    #[test]
    fn whoever_shows_no_token_is_welcome_where_anyone_is() {
        let mut history = operation("Price");
        history["security"] = json!([{"accessToken": []}]);
        let paths = json!({
            "/api/products": {"get": operation("Price")},
            "/api/products/{id}/price-history": {"get": history},
        });
        let merged = merged(vec![contract("products", paths, json!({"Price": {}}))]);
        let security = |path: &str| merged["paths"][path]["get"]["security"].clone();
        assert_eq!(security("/api/products"), json!([{}, {"accessToken": []}]));
        assert_eq!(
            security("/api/products/{id}/price-history"),
            json!([{"accessToken": []}])
        );
    }

    #[test]
    fn schemas_that_only_share_a_name_are_told_apart() {
        let line = |member: &str| json!({"properties": {member: {"type": "string"}}});
        let order = json!({"properties": {"line": {"$ref": format!("{SCHEMAS}Line")}}});
        let orders = contract(
            "orders",
            json!({"/api/orders": {"get": operation("Page")}}),
            json!({"Page": order, "Line": line("a"), "Money": line("amount")}),
        );
        let carts = contract(
            "carts",
            json!({"/api/cart": {"get": operation("Page")}, "/api/cart/total": {"get": operation("Money")}}),
            json!({"Page": order, "Line": line("b"), "Money": line("amount")}),
        );
        let merged = merged(vec![orders, carts]);
        assert_eq!(
            schema(&merged, "/api/cart/total"),
            "Money",
            "the same is there once"
        );
        assert_eq!(schema(&merged, "/api/orders"), "orders_Page");
        assert_eq!(schema(&merged, "/api/cart"), "carts_Page");
        let schemas = &merged["components"]["schemas"];
        let refers = |page: &str| schemas[page]["properties"]["line"]["$ref"].clone();
        assert_eq!(refers("orders_Page"), format!("{SCHEMAS}orders_Line"));
        assert_eq!(refers("carts_Page"), format!("{SCHEMAS}carts_Line"));
        assert_eq!(schemas["orders_Line"], line("a"));
        assert!(schemas["Problem"].is_object());
    }

    #[test]
    fn a_missing_service_is_named() {
        let own = contract("gateway", json!({}), json!({}));
        let merged = merge(own, Vec::new(), &["orders"]);
        assert_eq!(merged["x-warnings"][0]["service"], "orders");
    }

    #[test]
    fn every_own_operation_is_in_the_table() {
        let own = Contract {
            service: crate::SERVICE.name(),
            document: crate::SERVICE.openapi(),
        };
        let merged = merge(own, Vec::new(), &[]);
        let paths: Vec<_> = merged["paths"].as_object().unwrap().keys().collect();
        assert_eq!(
            paths,
            [
                "/api/health",
                "/api/home",
                "/api/openapi.json",
                "/api/ops/breakers",
                "/api/ops/faults",
                "/api/ops/services",
                "/api/orders/{id}/summary",
                "/metrics"
            ]
        );
        let metrics = &merged["paths"]["/metrics"]["get"];
        assert_eq!(metrics["security"], json!([{"metricsToken": []}]));
    }
}
