//! `--tick`: calls `POST /internal/tick` of every component, so that what is due gets done even
//! when nobody uses the application.

use crate::body::full;
use crate::dispatch::Dispatcher;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Ticks until dropped. A component that does not know the path is not called again.
pub async fn run(dispatcher: Arc<Dispatcher>, every: Duration) {
    let mut listening: Vec<String> = dispatcher.components().map(str::to_owned).collect();
    let mut interval = tokio::time::interval(every);
    // A slow tick must not be followed by a burst of them.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval.tick().await;
    while !listening.is_empty() {
        interval.tick().await;
        let answers = listening.iter().map(|id| tick(&dispatcher, id));
        let mut knows = futures::future::join_all(answers).await.into_iter();
        listening.retain(|_| knows.next().unwrap_or(false));
    }
}

/// Calls one component; says whether it knows the path.
async fn tick(dispatcher: &Dispatcher, id: &str) -> bool {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{id}.spin.internal/internal/tick"))
        .body(full(Bytes::new()))
        .expect("component ids are kebab-case");
    let (head, body) = dispatcher.chained(id, request).await.into_parts();
    // An instance counts as busy until its body is read.
    let _ = body.collect().await;
    !matches!(
        head.status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    )
}
