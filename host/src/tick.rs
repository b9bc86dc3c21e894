//! `--tick`: calls `POST /internal/tick` of every component, so that what is due gets done even
//! when nobody uses the application.

use crate::body::full;
use crate::dispatch::Dispatcher;
use bytes::Bytes;
use futures::future::join_all;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Ticks until dropped, each component by itself: one that takes its time keeps none of the others waiting.
pub async fn run(dispatcher: Arc<Dispatcher>, every: Duration) {
    join_all(
        dispatcher
            .components()
            .map(|id| tick_component(&dispatcher, id, every)),
    )
    .await;
}

/// Calls one component at once and then again and again, unless it does not know the path.
async fn tick_component(dispatcher: &Dispatcher, id: &str, every: Duration) {
    let mut interval = tokio::time::interval(every);
    // A slow tick must not be followed by a burst of them.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if !tick(dispatcher, id).await {
            return;
        }
    }
}

/// Calls one component; says whether it knows the path.
async fn tick(dispatcher: &Dispatcher, id: &str) -> bool {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{id}.spin.internal/internal/tick"))
        .body(full(Bytes::new()))
        .expect("component ids are kebab-case");
    let (head, body) = dispatcher.chained(id, request, None).await.into_parts();
    // An instance counts as busy until its body is read.
    let _ = body.collect().await;
    !matches!(
        head.status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    )
}
