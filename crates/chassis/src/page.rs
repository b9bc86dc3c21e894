//! Lists that are read page by page.
//!
//! A page ends with a cursor that says where the next one begins: the sort key of its last item, not a number of items to
//! skip, so that a page costs the same however far into the list it is, and nothing is shown twice when the list changes.
//! Clients are to take a cursor as it is; inside it is JSON in base64.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::fields::{self, Fields, FromFields, Rule};

/// How many items a page has unless told.
pub const DEFAULT_LIMIT: i64 = 20;

/// How many items a page can have.
pub const MAX_LIMIT: i64 = 100;

/// A part of a list.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Page<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Where the next page begins; none where this is the last.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` items. To know whether more follow, one more than that is to be read.
    pub fn new<K: Serialize>(mut items: Vec<T>, limit: i64, key: impl FnOnce(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(|last| encode(&key(last)));
        Self { items, next_cursor }
    }

    /// A list that is short enough to be one page.
    pub fn whole(items: Vec<T>) -> Self {
        Self {
            items,
            next_cursor: None,
        }
    }
}

/// Which part of a list is asked for, by the parameters `limit` and `cursor`.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<K> {
    /// How many items.
    pub limit: i64,
    /// The key that the page before ended with.
    pub after: Option<K>,
}

impl<K: DeserializeOwned> FromFields for Part<K> {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            limit: fields.optional("limit", limit()).unwrap_or(DEFAULT_LIMIT),
            after: fields.optional("cursor", cursor()),
        }
    }
}

/// Writes a cursor.
pub fn encode(key: &impl Serialize) -> String {
    BASE64.encode(serde_json::to_vec(key).expect("a sort key is plain data"))
}

/// The [rule](crate::fields) that reads a cursor.
pub fn cursor<K: DeserializeOwned>() -> impl Rule<String, K> {
    fields::rule(
        || json!({"type": "string", "description": "`next_cursor` of the page before"}),
        |cursor: String| {
            let json = BASE64.decode(cursor).unwrap_or_default();
            serde_json::from_slice(&json).map_err(|_| "is not a cursor of this list".into())
        },
    )
}

/// The [rule](crate::fields) for the size of a page.
pub fn limit() -> impl Rule<i64, i64> {
    fields::whole_number(1..=MAX_LIMIT)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cursor_is_there_when_more_follows() {
        let page = Page::new(vec![1, 2, 3], 2, |last| *last);
        assert_eq!(page.items, [1, 2]);
        assert_eq!(cursor::<i64>().check(page.next_cursor.unwrap()), Ok(2));
        assert_eq!(Page::new(vec![1, 2], 2, |last| *last).next_cursor, None);
        assert_eq!(
            Page::new(Vec::<i64>::new(), 2, |last| *last).next_cursor,
            None
        );
    }

    #[test]
    fn a_garbled_cursor_is_refused() {
        for garbled in ["", "x", "!!", &encode(&"text"), &encode(&[1])] {
            assert!(cursor::<i64>().check(garbled.into()).is_err(), "{garbled}");
        }
    }
}
