//! Spans of what components do with their data, by OpenTelemetry's semantic conventions.

use super::trace::{Scope, Span};
use opentelemetry::trace::SpanKind;
use redis::{Arg, Cmd};
use std::fmt::Display;
use std::sync::Arc;

/// The span of an SQL statement in the database with a label. What its parameters are is not told.
pub fn sql(place: &Scope, label: &Arc<str>, statement: &str) -> Span {
    let operation = operation(statement);
    let mut span = place.span(SpanKind::Client, &[operation, " ", label]);
    span.set("db.system.name", "sqlite");
    span.set("db.namespace", &**label);
    span.set("db.operation.name", operation);
    span.set("db.query.text", statement);
    span
}

/// The span of an operation on the key-value store with a label. Keys are not told: they may name people.
pub fn key_value(place: &Scope, label: &Arc<str>, operation: &'static str) -> Span {
    let mut span = place.span(SpanKind::Client, &[operation, " ", label]);
    span.set("db.system.name", "spin.key_value");
    span.set("db.namespace", &**label);
    span.set("db.operation.name", operation);
    span
}

/// The span of a command to Redis. What its arguments are is not told.
pub fn redis(place: &Scope, command: &Cmd, server: &str) -> Span {
    let name = name(command);
    let mut span = place.span(SpanKind::Client, &[&name]);
    span.set("db.system.name", "redis");
    span.set("db.operation.name", &*name);
    span.set("server.address", server);
    span
}

fn name(command: &Cmd) -> String {
    match command.args_iter().next() {
        Some(Arg::Simple(name)) => String::from_utf8_lossy(name).to_ascii_uppercase(),
        _ => String::new(),
    }
}

/// Ends a span, with what came of it. That something like a constraint did not hold is for the component to judge, so it alone is no
/// reason to export the trace.
pub fn end<T, E: Display>(mut span: Span, result: Result<T, E>) -> Result<T, E> {
    if let Err(error) = &result {
        span.error(|| error.to_string());
    }
    result
}

/// The first word of a statement.
fn operation(statement: &str) -> &str {
    let statement = statement.trim_start();
    let end = statement.find(|c: char| !c.is_ascii_alphabetic());
    &statement[..end.unwrap_or(statement.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_called_by_its_first_word() {
        assert_eq!(operation("\n  SELECT 1"), "SELECT");
        assert_eq!(operation("COMMIT"), "COMMIT");
        assert_eq!(operation("-- odd"), "");
    }
}
