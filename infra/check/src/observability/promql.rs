//! What a query asks for. Whether it is PromQL is Prometheus' to say, which the standalone suite asks; this finds the names in it.

use std::collections::BTreeSet;

/// What is followed by a list of labels in parentheses.
const OF_LABELS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

/// Words that are no metrics, and stand where one could.
const WORDS: [&str; 7] = ["and", "or", "unless", "bool", "offset", "inf", "nan"];

/// The names in a query.
#[derive(Debug, Default, PartialEq)]
pub struct Names {
    /// Those of metrics.
    pub metrics: BTreeSet<String>,
    /// Those of labels.
    pub labels: BTreeSet<String>,
}

/// Finds them.
pub fn names(query: &str) -> Names {
    let mut names = Names::default();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' | '\'' | '`' => after_text(rest, first),
            '[' => after(rest, ']'),
            '{' => matchers(rest, &mut names),
            // A number, with what it is of: `5m`, `1e3`.
            '0'..='9' => &rest[word(rest, "._").len()..],
            first if is_letter(first) => name(rest, &mut names),
            first => &rest[first.len_utf8()..],
        };
    }
    names
}

fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphabetic() || letter == '_'
}

/// The letters and digits, and these signs, that a text begins with.
fn word<'a>(text: &'a str, signs: &str) -> &'a str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !signs.contains(c));
    &text[..end.unwrap_or(text.len())]
}

fn after(text: &str, end: char) -> &str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// What follows a text in quotes.
fn after_text(text: &str, quote: char) -> &str {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or("", |(at, _)| &text[at + 1..])
}

/// Takes a name, and the labels that belong to it.
fn name<'a>(text: &'a str, names: &mut Names) -> &'a str {
    let name = word(text, "_:");
    let rest = text[name.len()..].trim_start();
    if OF_LABELS.contains(&name) {
        let Some((labels, rest)) = rest.strip_prefix('(').and_then(|list| list.split_once(')'))
        else {
            return rest;
        };
        let labels = labels.split(',').map(str::trim);
        names
            .labels
            .extend(labels.filter(|label| !label.is_empty()).map(str::to_owned));
        return rest;
    }
    let is_function = rest.starts_with('(') || OF_LABELS.contains(&word(rest, "_"));
    if !is_function && !WORDS.contains(&name.to_lowercase().as_str()) {
        names.metrics.insert(name.to_owned());
    }
    rest
}

/// Takes the labels of a selector.
fn matchers<'a>(text: &'a str, names: &mut Names) -> &'a str {
    let mut rest = &text[1..];
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '}' => return &rest[1..],
            '"' | '\'' | '`' => after_text(rest, first),
            first if is_letter(first) => {
                let label = word(rest, "_");
                names.labels.insert(label.to_owned());
                &rest[label.len()..]
            }
            first => &rest[first.len_utf8()..],
        };
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str) -> (Vec<String>, Vec<String>) {
        let Names { metrics, labels } = names(query);
        (metrics.into_iter().collect(), labels.into_iter().collect())
    }

    #[test]
    fn metrics_are_told_from_functions_words_and_labels() {
        let query = r#"60 * (sum by (service, le) (rate(a_total{route="GET {id}\"}",x!~"b_c"}[5m])) or vector(0)) / on (y) group_left c offset 1h > bool 1e3"#;
        assert_eq!(
            found(query),
            (
                vec!["a_total".into(), "c".into()],
                ["le", "route", "service", "x", "y"]
                    .map(String::from)
                    .into()
            )
        );
        assert_eq!(found("sum(up) by (job) and on () absent(z)").0, ["up", "z"]);
    }
}
