//! OTLP/HTTP: reading what exporters post, in protobuf or JSON, and answering in the same.
//!
//! What arrives is bounded before it is decoded, since an empty message of two bytes is a structure of two hundred in memory: the body
//! as it comes, what it inflates to, and how many messages are in it.

use std::cell::Cell;
use std::io::Read;

use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use flate2::read::MultiGzDecoder;
use http::StatusCode;
use http::header::{self, HeaderMap};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use souk_chassis::Problem;

use crate::domain::{self, Batch};
use crate::store;

/// How many bytes a body may have, as it comes and inflated.
pub const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// How many messages, texts and other fields with a length may be in a body.
pub const MOST_FIELDS: usize = 200_000;

const PROTOBUF: &str = "application/x-protobuf";

/// What exporters send: one of the three signals.
pub trait Signal {
    /// What they post.
    type Request: Message + Default + DeserializeOwned;

    /// What of it is kept, as of now (milliseconds since 1970).
    fn read(request: Self::Request, now_ms: i64) -> Batch;

    /// Keeps it.
    fn keep(rows: String) -> impl Future<Output = Result<(), souk_store::Error>>;

    /// What the JSON answer calls the number of those that were not taken.
    const REJECTED: &'static str;
}

/// `/v1/traces`
pub struct Traces;

impl Signal for Traces {
    type Request = ExportTraceServiceRequest;
    const REJECTED: &'static str = "rejectedSpans";

    fn read(request: Self::Request, now_ms: i64) -> Batch {
        domain::spans(request, now_ms)
    }

    fn keep(rows: String) -> impl Future<Output = Result<(), souk_store::Error>> {
        store::add_spans(rows)
    }
}

/// `/v1/logs`
pub struct Logs;

impl Signal for Logs {
    type Request = ExportLogsServiceRequest;
    const REJECTED: &'static str = "rejectedLogRecords";

    fn read(request: Self::Request, now_ms: i64) -> Batch {
        domain::logs(request, now_ms)
    }

    fn keep(rows: String) -> impl Future<Output = Result<(), souk_store::Error>> {
        store::add_logs(rows)
    }
}

/// `/v1/metrics`
pub struct Metrics;

impl Signal for Metrics {
    type Request = ExportMetricsServiceRequest;
    const REJECTED: &'static str = "rejectedDataPoints";

    fn read(request: Self::Request, now_ms: i64) -> Batch {
        domain::points(request, now_ms)
    }

    fn keep(rows: String) -> impl Future<Output = Result<(), souk_store::Error>> {
        store::add_points(rows)
    }
}

/// How a request is written, and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    /// What the request says it is.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let said = headers
            .get(header::CONTENT_TYPE)
            .and_then(|it| it.to_str().ok());
        let essence = said
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        match essence.to_ascii_lowercase().as_str() {
            PROTOBUF => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(Problem::unsupported_media_type(
                "application/x-protobuf or application/json",
            )),
        }
    }

    fn decode<M: Message + Default + DeserializeOwned>(self, body: &[u8]) -> Result<M, Problem> {
        let unreadable =
            |why: String| Problem::bad_request(format!("the body cannot be decoded: {why}"));
        if self.fields(body) > MOST_FIELDS {
            return Err(too_much(format!(
                "a body may have {MOST_FIELDS} fields at most"
            )));
        }
        match self {
            Self::Protobuf => M::decode(body).map_err(|error| unreadable(error.to_string())),
            Self::Json => {
                serde_json::from_slice(body).map_err(|error| unreadable(error.to_string()))
            }
        }
    }

    /// How many fields there are in a body that has not been decoded, or one more than there may be.
    fn fields(self, body: &[u8]) -> usize {
        match self {
            Self::Protobuf => fields_of(body, 0, 0),
            // Each object of JSON begins so, and whatever is in a text only makes it more.
            Self::Json => body.iter().filter(|byte| **byte == b'{').count(),
        }
    }

    /// What is said of a request that was taken, if only in part.
    pub fn answer<S: Signal>(self, rejected: i64, why: &str) -> Response {
        match self {
            Self::Protobuf => {
                let partial_success = (rejected > 0).then(|| PartialSuccess {
                    rejected,
                    error_message: why.into(),
                });
                protobuf(StatusCode::OK, &ExportResponse { partial_success })
            }
            Self::Json => {
                let partial =
                    || serde_json::json!({S::REJECTED: rejected.to_string(), "errorMessage": why});
                let partial_success = (rejected > 0).then(partial);
                souk_chassis::Json(Exported { partial_success }).into_response()
            }
        }
    }

    /// Says that a request is not taken: in protobuf as the `google.rpc.Status` that OTLP asks for. What is our own fault stays a
    /// problem, which the log gets to know of; exporters go by its status alone.
    pub fn refuse(self, problem: Problem) -> Response {
        let status = problem.status();
        match self {
            Self::Protobuf if status.is_client_error() => {
                let message = problem.detail().to_owned();
                let code = grpc_code(status);
                protobuf(status, &Status { code, message })
            }
            _ => problem.into_response(),
        }
    }
}

fn protobuf(status: StatusCode, message: &impl Message) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, PROTOBUF)],
        message.encode_to_vec(),
    )
        .into_response()
}

/// The code of gRPC that means about the same.
fn grpc_code(status: StatusCode) -> i32 {
    match status.as_u16() {
        413 => 8, // RESOURCE_EXHAUSTED
        _ => 3,   // INVALID_ARGUMENT
    }
}

/// What is answered to all three signals: they are the same in protobuf.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// `google.rpc.Status`
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// What is answered in JSON.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    /// How many were not taken, and why the first of them was not; not there when all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    partial_success: Option<serde_json::Value>,
}

/// The body of a request, as it came.
pub struct Received {
    body: Bytes,
    gzipped: bool,
}

impl Received {
    /// Reads it, for as long as that takes.
    pub async fn read(request: Request) -> Result<Self, Problem> {
        let gzipped = is_gzipped(request.headers())?;
        let body = to_bytes(request.into_body(), BODY_LIMIT).await;
        let body = body.map_err(|error| broken(&error))?;
        Ok(Self { body, gzipped })
    }

    /// What of it is kept, as of now (milliseconds since 1970).
    pub fn decode<S: Signal>(self, encoding: Encoding, now_ms: i64) -> Result<Batch, Problem> {
        let decoded = match self.gzipped {
            true => encoding.decode(&inflate(&self.body)?),
            false => encoding.decode(&self.body),
        };
        Ok(S::read(decoded?, now_ms))
    }
}

/// A place among the requests that an instance has in its memory, decoded, at once.
pub struct Place(());

thread_local! {
    /// How many are taken; all requests of an instance are on one thread.
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

impl Place {
    /// Takes one; where there is none the exporter is to try again.
    pub fn take() -> Result<Self, Problem> {
        /// What these need at most together with the bodies of all others fits into the memory of an instance.
        const PLACES: usize = 3;
        if TAKEN.get() >= PLACES {
            return Err(Problem::unavailable("too much is being taken already", 1));
        }
        TAKEN.set(TAKEN.get() + 1);
        Ok(Self(()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.set(TAKEN.get() - 1);
    }
}

/// Why a body could not be read.
fn broken(error: &axum::Error) -> Problem {
    let source = std::error::Error::source(error);
    match source.is_some_and(|source| source.is::<http_body_util::LengthLimitError>()) {
        true => Problem::too_large(BODY_LIMIT),
        false => Problem::bad_request("the body broke off").cause(error),
    }
}

fn is_gzipped(headers: &HeaderMap) -> Result<bool, Problem> {
    let encoding = headers
        .get(header::CONTENT_ENCODING)
        .map(|it| it.as_bytes());
    match encoding {
        None | Some(b"" | b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(_) => Err(Problem::unsupported_media_type(
            "compressed with gzip or not at all",
        )),
    }
}

/// What a body inflates to, if that is no more than a body may have.
fn inflate(body: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut inflated = Vec::new();
    let most = u64::try_from(BODY_LIMIT).unwrap_or(u64::MAX) + 1;
    let read = MultiGzDecoder::new(body)
        .take(most)
        .read_to_end(&mut inflated);
    read.map_err(|error| Problem::bad_request(format!("the body is not gzip: {error}")))?;
    match inflated.len() > BODY_LIMIT {
        true => Err(Problem::too_large(BODY_LIMIT)),
        false => Ok(inflated),
    }
}

fn too_much(detail: String) -> Problem {
    let (status, slug) = (StatusCode::PAYLOAD_TOO_LARGE, "too-large");
    Problem::new(status, slug, "The body is too large", detail)
}

/// Counts on from `known` the fields of a protobuf message that have a length, also those within, until there are too many.
///
/// It takes whatever has a length for a message, so a text may count as some fields more than the one it is.
fn fields_of(message: &[u8], known: usize, depth: usize) -> usize {
    /// How deep messages may be in each other; the decoder goes no deeper either.
    const DEPTH: usize = 100;
    let (mut rest, mut count) = (message, known);
    while let Some((field, after)) = next_field(rest) {
        rest = after;
        if let Some(inner) = field {
            count += 1;
            if depth < DEPTH {
                count = fields_of(inner, count, depth + 1);
            }
        }
        if count > MOST_FIELDS {
            break;
        }
    }
    count
}

/// The next field of a message, if it has a length, and what follows. None at the end, or where this is no message.
fn next_field(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (tag, rest) = varint(bytes)?;
    match tag & 7 {
        0 => varint(rest).map(|(_, rest)| (None, rest)),
        1 => rest.get(8..).map(|rest| (None, rest)),
        2 => {
            let (length, rest) = varint(rest)?;
            let (inner, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            Some((Some(inner), rest))
        }
        5 => rest.get(4..).map(|rest| (None, rest)),
        _ => None,
    }
}

fn varint(mut bytes: &[u8]) -> Option<(u64, &[u8])> {
    let value = prost::encoding::decode_varint(&mut bytes).ok()?;
    Some((value, bytes))
}
