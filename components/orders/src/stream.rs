//! `GET /api/orders/{id}/stream`: an order's history as server-sent events, past and to come.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use http::header::{self, HeaderMap};
use http::{HeaderValue, StatusCode};
use serde_json::json;
use souk_chassis::{Context, Path, Problem};
use souk_store::Error;
use uuid::Uuid;

use crate::api::{Viewer, found};
use crate::background::{now, sleep};
use crate::domain::HistoryEntry;
use crate::{saga, store};

/// How often the history is looked at: one read along its key.
const POLL_EVERY: Duration = Duration::from_millis(300);

/// How often something is sent when nothing happens, so that nobody on the way takes the connection for dead, in milliseconds.
const KEEP_ALIVE_EVERY: i64 = 15_000;

/// How long a stream lasts, in milliseconds. A browser comes back by itself, with the id of the last event it saw.
const LASTS: i64 = 5 * 60_000;

/// What the client last saw.
const LAST_EVENT_ID: &str = "last-event-id";

/// Streams the history after what the client last saw, up to the final status. A client that has seen that is told 204, which
/// tells a browser not to come back.
pub async fn follow(
    context: Context,
    Viewer(user): Viewer,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order = found(&id.to_string(), user.as_deref()).await?;
    let seen = last_event_id(&headers);
    let last = order.history.last().map_or(0, |entry| entry.seq);
    if order.status.is_final() && seen >= last {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let follower = Follower {
        context,
        order_id: order.id,
        seen,
        ends_at: now() + LASTS,
        quiet_since: now(),
    };
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(events(follower))).into_response())
}

/// The id of the last event the client saw; one that is none of ours counts as none.
fn last_event_id(headers: &HeaderMap) -> i64 {
    let id = headers.get(LAST_EVENT_ID).map(HeaderValue::to_str);
    id.and_then(|id| id.ok()?.parse().ok()).unwrap_or(0)
}

/// Somebody who follows an order.
struct Follower {
    context: Context,
    order_id: String,
    /// The last event that was sent.
    seen: i64,
    ends_at: i64,
    /// When something was last sent.
    quiet_since: i64,
}

fn events(follower: Follower) -> impl Stream<Item = Result<Bytes, Error>> {
    stream::try_unfold(Some(follower), async |follower| match follower {
        Some(follower) => follower.next().await,
        None => Ok(None),
    })
}

impl Follower {
    /// Waits for something to send; and who follows on after it, if anybody.
    async fn next(mut self) -> Result<Option<(Bytes, Option<Self>)>, Error> {
        loop {
            let entries = store::history_after(&self.order_id, self.seen).await?;
            if let Some(last) = entries.last() {
                self.seen = last.seq;
                self.quiet_since = now();
                let is_over = last.status.is_final();
                return Ok(Some((written(&entries), (!is_over).then_some(self))));
            }
            if now() >= self.ends_at {
                return Ok(None);
            }
            if now() >= self.quiet_since + KEEP_ALIVE_EVERY {
                self.quiet_since = now();
                return Ok(Some((Bytes::from_static(b": still here\n\n"), Some(self))));
            }
            // Whoever looks at an order moves it on.
            saga::nudge(&self.context).await;
            sleep(POLL_EVERY).await;
        }
    }
}

fn written(entries: &[HistoryEntry]) -> Bytes {
    let event = |entry: &HistoryEntry| {
        let data = json!({"status": entry.status, "at": entry.at, "reason": entry.reason});
        format!("id: {}\nevent: status\ndata: {data}\n\n", entry.seq)
    };
    entries.iter().map(event).collect::<String>().into()
}
