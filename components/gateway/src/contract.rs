//! The contract of the whole shop: every service's own, fetched and merged.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::future::join_all;
use http::header::{self, HeaderValue};
use serde_json::Value;
use souk_chassis::{Context, Problem};
use souk_client::{Call, CallError};

use crate::merge::{self, Contract};
use crate::policies::POLICIES;
use crate::{SERVICE, routes};

/// How long a service may take to show its contract, in milliseconds.
const TIMEOUT_MS: u32 = 2_000;

/// How long the whole contract is kept, in seconds: it changes when a service is deployed.
const KEPT: u64 = 60;

/// How long one is kept that misses a service, in seconds.
const KEPT_INCOMPLETE: u64 = 5;

/// This instance's copy.
static COPY: Mutex<Option<Copied>> = Mutex::new(None);

#[derive(Clone)]
struct Copied {
    document: Bytes,
    until: Instant,
}

/// `GET /api/openapi.json`
pub async fn show(context: Context) -> Result<Response, Problem> {
    let now = Instant::now();
    let kept = COPY.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let copy = match kept.filter(|copy| copy.until > now) {
        Some(copy) => copy,
        None => fresh(&context, now).await?,
    };
    let seconds = (copy.until - now).as_secs();
    let max_age = HeaderValue::try_from(format!("public, max-age={seconds}"));
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (header::CACHE_CONTROL, max_age.map_err(Problem::internal)?),
    ];
    Ok((headers, copy.document).into_response())
}

async fn fresh(context: &Context, now: Instant) -> Result<Copied, Problem> {
    let services = routes::services();
    let fetched = join_all(services.iter().map(|service| fetch(context, service))).await;

    let own = Contract {
        service: SERVICE.name(),
        document: SERVICE.openapi(),
    };
    let (mut others, mut missing) = (Vec::new(), Vec::new());
    for (service, fetched) in services.into_iter().zip(fetched) {
        match fetched {
            Ok(document) => others.push(Contract { service, document }),
            Err(_) => missing.push(service),
        }
    }
    let seconds = match missing.is_empty() {
        true => KEPT,
        false => KEPT_INCOMPLETE,
    };
    let document = merge::merge(own, others, &missing);
    let copy = Copied {
        document: serde_json::to_vec(&document)
            .map_err(Problem::internal)?
            .into(),
        until: now + Duration::from_secs(seconds),
    };
    *COPY.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy.clone());
    Ok(copy)
}

async fn fetch(context: &Context, service: &str) -> Result<Value, CallError> {
    let context = &context.within(TIMEOUT_MS);
    let call = Call::get(context, POLICIES.to(service), "/openapi.json");
    let response = call.send().await?;
    let status = response.status();
    match response.json::<Value>().await {
        Ok(document) if status.is_success() && document["paths"].is_object() => Ok(document),
        Ok(_) => Err(CallError::Answer {
            service: service.into(),
            cause: format!("{status}, and no contract"),
        }),
        Err(error) => Err(error),
    }
}
