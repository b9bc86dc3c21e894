//! SQLite databases on a libSQL server, by its protocol "Hrana over HTTP" (version 2).
//!
//! Each statement is a stream of its own, opened and closed by the one request that runs it. So nothing is held on the server
//! while a guest thinks, any number of requests of one instance ask at once, and a server that was restarted needs nothing
//! else. What would last from one statement to the next does not: what begins or ends a transaction is refused by name
//! rather than done in vain. See `docs/decisions/0024-libsql-by-statement.md`.

use super::MAX_RESULT_BYTES;
use crate::bindings::sqlite::{Error, QueryResult, RowResult, Value};
use crate::http_client::HttpClient;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a guest waits for an answer, with all that comes before it.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Statements that a database is asked at once; one more waits for its turn.
const MAX_AT_ONCE: usize = 64;
/// How many of them may write. The server does one after the other; with many that wait there it does fewer in the same
/// time, and refuses some. A few keep it busy while answers are on their way.
const MAX_WRITERS: usize = 4;
/// How long a writer waits for the others, as with a file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Characters of an answer that is no result, shown to say what it was instead.
const SHOWN: usize = 200;

/// Words a statement may begin with that mean nothing without the statements before or after it.
const TRANSACTIONS: &[&str] = &["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"];

/// Words a statement may begin with that only reads, though `WITH` and `EXPLAIN` may have one of [`WRITES`] after it.
const READS: &[&str] = &["SELECT", "VALUES", "WITH", "EXPLAIN", "PRAGMA"];
/// Words of every change that does not say so at its beginning.
const WRITES: &[&str] = &["INSERT", "UPDATE", "DELETE", "REPLACE"];

/// Base64, with or without padding: servers write it without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where a database is, and what opens it.
#[derive(Clone)]
pub struct Endpoint {
    /// Where pipelines of requests go.
    pipeline: Uri,
    authorization: Option<HeaderValue>,
}

impl Endpoint {
    /// Reads the fields of the runtime configuration; a server without authentication has an empty token.
    ///
    /// # Errors
    /// Which of them is wrong, without showing it.
    pub fn parse(url: &str, token: &str) -> Result<Self, String> {
        let is_http = ["http://", "https://"].iter().any(|s| url.starts_with(s));
        let pipeline = format!("{}/v2/pipeline", url.trim_end_matches('/'));
        let pipeline = pipeline.parse::<Uri>().ok().filter(|uri| {
            let named = uri.host().is_some_and(|host| !host.is_empty());
            is_http && named && uri.query().is_none()
        });
        let pipeline = pipeline.ok_or(
            "url is no address of a libSQL server; write https://host or http://host:port (what is libsql://host elsewhere is https://host here)",
        )?;
        let authorization = match token {
            "" => None,
            token => {
                let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                    .map_err(|_| "token has characters that no token has")?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self {
            pipeline,
            authorization,
        })
    }
}

/// One database, and the connections to its server.
pub struct Database {
    endpoint: Endpoint,
    client: HttpClient,
    places: Semaphore,
    /// The line of those who want to write.
    writers: Semaphore,
}

impl Database {
    /// A database that nobody has asked yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            client: HttpClient::new(),
            places: Semaphore::new(MAX_AT_ONCE),
            writers: Semaphore::new(MAX_WRITERS),
        }
    }

    /// Runs a statement. It is never sent twice: nobody knows whether one whose answer did not come was carried out.
    async fn run(&self, sql: &str, parameters: &[Value]) -> Result<StatementResult, Error> {
        let request = self.request(sql, parameters)?;
        let _turn = match may_write(sql) {
            true => Some(self.turn_to_write().await?),
            false => None,
        };
        let _place = self.place().await?;
        let answer = self.client.send(request, TIMEOUT, MAX_RESULT_BYTES).await;
        let answer = answer.map_err(|error| {
            let server = self.endpoint.pipeline.authority();
            let server = server.map_or("", |authority| authority.as_str());
            tracing::warn!(%server, "no answer of the database: {error:#}");
            Error::Io(format!("no answer of the database: {error:#}"))
        })?;
        match answer.status() {
            StatusCode::OK => result(answer.body()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::Io(
                "the database refuses the token of the runtime configuration".into(),
            )),
            status => Err(Error::Io(format!(
                "the database answered {status}: {}",
                beginning(answer.body())
            ))),
        }
    }

    async fn turn_to_write(&self) -> Result<SemaphorePermit<'_>, Error> {
        match tokio::time::timeout(BUSY_TIMEOUT, self.writers.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Error::Io("database is locked".into())),
        }
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, Error> {
        match tokio::time::timeout(TIMEOUT, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(Error::Io("the database has too much to do".into())),
        }
    }

    fn request(&self, sql: &str, parameters: &[Value]) -> Result<Request<Full<Bytes>>, Error> {
        let args = parameters
            .iter()
            .map(to_json)
            .collect::<Result<Vec<_>, Error>>()?;
        let body = json!({"baton": null, "requests": [
            {"type": "execute", "stmt": {"sql": sql, "args": args, "want_rows": true}},
            {"type": "close"},
        ]});
        let mut request = Request::post(self.endpoint.pipeline.clone())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.endpoint.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request
            .body(Full::from(body.to_string()))
            .map_err(|error| Error::Io(error.to_string()))
    }
}

/// A guest's connection from `open` to drop: none to the server, but what the last statement changed.
pub struct Session {
    database: Arc<Database>,
    last_change: Mutex<Change>,
}

/// What a statement did.
#[derive(Clone, Copy, Default)]
pub struct Change {
    /// Rows it changed.
    pub changes: u64,
    /// The id of the last row that was inserted, by this statement or one before it.
    pub last_insert_rowid: i64,
}

impl Session {
    /// A connection that has done nothing.
    pub fn new(database: Arc<Database>) -> Self {
        Self {
            database,
            last_change: Mutex::default(),
        }
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// What the server says, that it cannot be reached or does not answer, a result that is too large, and a statement that
    /// would have to be one of several.
    pub async fn execute(&self, sql: &str, parameters: &[Value]) -> Result<QueryResult, Error> {
        if let Some(word) = transaction(sql) {
            return Err(Error::Io(format!(
                "{word} is not supported on libSQL, where each statement is a transaction of its own; put what belongs together into one statement or a trigger"
            )));
        }
        let result = self.database.run(sql, parameters).await?;
        self.note(&result);
        result.into_guest()
    }

    fn note(&self, result: &StatementResult) {
        let mut last = self.lock();
        last.changes = result.affected_row_count;
        let inserted = result.last_insert_rowid.as_deref();
        if let Some(id) = inserted.and_then(|id| id.parse().ok()) {
            last.last_insert_rowid = id;
        }
    }

    /// What the last statement did.
    pub fn last_change(&self) -> Change {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Change> {
        self.last_change
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The word by which a statement begins or ends a transaction, if that is what it does.
fn transaction(sql: &str) -> Option<&'static str> {
    among(TRANSACTIONS, words(sql).next()?)
}

/// Whether a statement may change something. In doubt it does: then it waits where it need not.
fn may_write(sql: &str) -> bool {
    let reads = words(sql).next().and_then(|word| among(READS, word));
    let all_of_it_reads = match reads {
        Some("WITH" | "EXPLAIN") => words(sql).all(|word| among(WRITES, word).is_none()),
        known => known.is_some(),
    };
    !all_of_it_reads
}

fn among(names: &[&'static str], word: &str) -> Option<&'static str> {
    let is = |name: &&&str| name.eq_ignore_ascii_case(word);
    names.iter().find(is).copied()
}

/// What stands between other characters in a statement, from its first word on.
fn words(sql: &str) -> impl Iterator<Item = &str> {
    without_comments(sql).split(|c: char| !c.is_ascii_alphabetic())
}

/// A statement from its first word on.
fn without_comments(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        let comment = if rest.starts_with("--") {
            rest.split_once('\n')
        } else if rest.starts_with("/*") {
            rest.split_once("*/")
        } else {
            return rest;
        };
        rest = comment.map_or("", |(_, after)| after.trim_start());
    }
}

fn to_json(value: &Value) -> Result<serde_json::Value, Error> {
    Ok(match value {
        Value::Null => json!({"type": "null"}),
        Value::Integer(number) => json!({"type": "integer", "value": number.to_string()}),
        // SQLite makes the same of it.
        Value::Real(number) if number.is_nan() => json!({"type": "null"}),
        Value::Real(number) if number.is_infinite() => {
            return Err(Error::Io("JSON has no infinite numbers".into()));
        }
        Value::Real(number) => json!({"type": "float", "value": number}),
        Value::Text(text) => json!({"type": "text", "value": text}),
        Value::Blob(bytes) => json!({"type": "blob", "base64": BASE64.encode(bytes)}),
    })
}

/// The answer to a pipeline.
#[derive(Deserialize)]
struct Pipeline {
    results: Vec<Outcome>,
}

/// What became of one request of it.
#[derive(Deserialize)]
struct Outcome {
    response: Option<Reply>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Reply {
    result: Option<StatementResult>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
    #[serde(default)]
    code: Option<String>,
}

#[derive(Deserialize)]
struct StatementResult {
    cols: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    affected_row_count: u64,
    last_insert_rowid: Option<String>,
}

#[derive(Deserialize)]
struct Column {
    name: Option<String>,
}

/// A value; which field it is in depends on its type.
#[derive(Deserialize)]
struct Cell {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    value: serde_json::Value,
    base64: Option<String>,
}

/// The result of the statement, out of the answer to the pipeline that had it first.
fn result(body: &[u8]) -> Result<StatementResult, Error> {
    let unknown = || Error::Io(format!("no answer of a libSQL server: {}", beginning(body)));
    let pipeline: Pipeline = serde_json::from_slice(body).map_err(|_| unknown())?;
    let first = pipeline.results.into_iter().next().ok_or_else(unknown)?;
    if let Some(refusal) = first.error {
        return Err(refusal.into_guest());
    }
    let result = first.response.and_then(|reply| reply.result);
    result.ok_or_else(unknown)
}

fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned();
    text.replace(char::is_control, " ")
}

impl Refusal {
    /// In SQLite's own words, which guests look for, without the server's before them.
    fn into_guest(self) -> Error {
        if self.code.as_deref() == Some("SQLITE_FULL") {
            return Error::DatabaseFull;
        }
        let message = self.message.strip_prefix("SQLite error: ");
        Error::Io(message.unwrap_or(&self.message).to_owned())
    }
}

impl StatementResult {
    fn into_guest(self) -> Result<QueryResult, Error> {
        let columns = self.cols.into_iter();
        let columns = columns.map(|column| column.name.unwrap_or_default());
        let row = |cells: Vec<Cell>| {
            let values = cells.into_iter().map(Cell::into_guest);
            values
                .collect::<Option<_>>()
                .map(|values| RowResult { values })
        };
        let rows = self.rows.into_iter().map(row).collect::<Option<_>>();
        Ok(QueryResult {
            columns: columns.collect(),
            rows: rows
                .ok_or_else(|| Error::Io("the result has a value of no known type".into()))?,
        })
    }
}

impl Cell {
    fn into_guest(self) -> Option<Value> {
        Some(match self.kind.as_str() {
            "null" => Value::Null,
            // In quotes, since JSON's numbers are not as long.
            "integer" => Value::Integer(self.value.as_str()?.parse().ok()?),
            "float" => Value::Real(self.value.as_f64()?),
            "text" => match self.value {
                serde_json::Value::String(text) => Value::Text(text),
                _ => return None,
            },
            "blob" => Value::Blob(BASE64.decode(self.base64?).ok()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[test]
    fn an_address_is_http_and_a_token_is_optional() {
        let endpoint = Endpoint::parse("https://shop.example/", "secret").unwrap();
        assert_eq!(endpoint.pipeline, "https://shop.example/v2/pipeline");
        assert_eq!(endpoint.authorization.unwrap(), "Bearer secret");
        let local = Endpoint::parse("http://127.0.0.1:8080", "").unwrap();
        assert_eq!(local.pipeline, "http://127.0.0.1:8080/v2/pipeline");
        assert!(local.authorization.is_none());
        for url in [
            "",
            "u",
            "libsql://a",
            "http://",
            "http://a b",
            "https://a/?b",
        ] {
            assert!(Endpoint::parse(url, "").is_err(), "{url}");
        }
        assert!(Endpoint::parse("http://a", "line\nbreak").is_err());
    }

    #[test]
    fn what_begins_or_ends_a_transaction_is_known_also_behind_comments() {
        assert_eq!(transaction("BEGIN"), Some("BEGIN"));
        assert_eq!(transaction(" -- why\n/* and */ commit;"), Some("COMMIT"));
        assert_eq!(transaction("savepoint a"), Some("SAVEPOINT"));
        for sql in ["", "SELECT 1", "beginning", "/* BEGIN", "-- BEGIN"] {
            assert_eq!(transaction(sql), None, "{sql}");
        }
    }

    #[test]
    fn writers_are_told_from_readers() {
        for sql in [
            "SELECT 1",
            "/* all */ select replace(a, 'b', 'c') from t",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "PRAGMA foreign_keys = ON",
        ] {
            assert!(!may_write(sql), "{sql}");
        }
        for sql in [
            "INSERT INTO t VALUES (1)",
            "with a as (select 1)\nupdate t set x = 1",
            "CREATE TABLE t (x)",
            "VACUUM",
            "",
        ] {
            assert!(may_write(sql), "{sql}");
        }
    }

    #[test]
    fn values_come_back_as_they_went() {
        let values = [
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Real(0.1),
            Value::Text("héllo".into()),
            Value::Blob(vec![0, 255]),
        ];
        for value in values {
            let cell: Cell = serde_json::from_value(to_json(&value).unwrap()).unwrap();
            let back = cell.into_guest().unwrap();
            assert_eq!(format!("{back:?}"), format!("{value:?}"));
        }
        let unpadded: Cell =
            serde_json::from_value(json!({"type": "blob", "base64": "AP8"})).unwrap();
        assert!(matches!(unpadded.into_guest(), Some(Value::Blob(bytes)) if bytes == [0, 255]));
        assert!(to_json(&Value::Real(f64::INFINITY)).is_err());
    }

    #[test]
    fn refusals_come_in_the_words_of_sqlite() {
        let refusal = |message: &str, code: &str| {
            let body = json!({"results": [
                {"type": "error", "error": {"message": message, "code": code}},
                {"type": "ok", "response": {"type": "close"}},
            ]});
            result(body.to_string().as_bytes()).err().unwrap()
        };
        let unique = "UNIQUE constraint failed: t.x";
        let told = refusal(&format!("SQLite error: {unique}"), "SQLITE_CONSTRAINT");
        assert!(matches!(told, Error::Io(why) if why == unique));
        let full = refusal("SQLite error: full", "SQLITE_FULL");
        assert!(matches!(full, Error::DatabaseFull));
        assert!(matches!(result(b"<html>"), Err(Error::Io(why)) if why.contains("<html>")));
    }

    /// A database on a server that answers each connection with these bytes, and then says nothing more.
    async fn answered(answer: &'static [u8]) -> Session {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer).await;
                open.push(stream);
            }
        });
        let endpoint = Endpoint::parse(&url, "").unwrap();
        Session::new(Arc::new(Database::new(endpoint)))
    }

    async fn why(session: &Session) -> String {
        match session.execute("SELECT 1", &[]).await {
            Err(Error::Io(why)) => why,
            _ => panic!("no error"),
        }
    }

    #[tokio::test]
    async fn answers_that_are_none_say_what_they_are() {
        let session = answered(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\n\r\noops").await;
        assert!(why(&session).await.contains("502 Bad Gateway: oops"));
        let session = answered(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
        assert!(why(&session).await.contains("refuses the token"));
        let large = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n{";
        assert!(why(&answered(large).await).await.contains("more than"));
    }
}
