//! How the services are.

use std::time::Instant;

use futures::future::join_all;
use schemars::JsonSchema;
use serde::Serialize;
use souk_chassis::{Context, Json};
use souk_client::Call;

use crate::policies::POLICIES;
use crate::routes;

/// A service that takes longer than this, in milliseconds, is as good as down.
const TIMEOUT_MS: u32 = 2_000;

/// How all services are.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// How they are together.
    status: State,
    /// Each of them.
    services: Vec<Health>,
}

/// How one service is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Health {
    /// Its name.
    pub service: &'static str,
    /// Whether it answers.
    status: State,
    /// How long it took to answer, or to fail.
    latency_ms: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It answers.
    Ok,
    /// It does not.
    Down,
    /// Some services answer and some do not.
    Degraded,
}

/// `GET /api/health`: asks all services at once. It is 200 whatever they say, since the gateway itself answers; the report
/// tells the rest.
pub async fn report(context: Context) -> Json<Report> {
    let services = of_all(&context).await;
    Json(Report {
        status: overall(&services),
        services,
    })
}

/// How each service is; all are asked at once.
pub async fn of_all(context: &Context) -> Vec<Health> {
    let services = routes::services().into_iter();
    join_all(services.map(|service| ask(context, service))).await
}

async fn ask(context: &Context, service: &'static str) -> Health {
    let start = Instant::now();
    let answer = Call::get(context, POLICIES.to(service), "/healthz")
        .unguarded(TIMEOUT_MS)
        .send()
        .await;
    let status = match answer {
        Ok(response) if response.status().is_success() => State::Ok,
        _ => State::Down,
    };
    let latency_ms = (start.elapsed().as_secs_f64() * 100_000.0).round() / 100.0;
    Health {
        service,
        status,
        latency_ms,
    }
}

fn overall(services: &[Health]) -> State {
    match services
        .iter()
        .filter(|health| health.status == State::Ok)
        .count()
    {
        up if up == services.len() => State::Ok,
        0 => State::Down,
        _ => State::Degraded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_service_down_degrades_the_whole() {
        let health = |status| Health {
            service: "s",
            status,
            latency_ms: 1.0,
        };
        assert_eq!(overall(&[health(State::Ok), health(State::Ok)]), State::Ok);
        assert_eq!(
            overall(&[health(State::Ok), health(State::Down)]),
            State::Degraded
        );
        assert_eq!(overall(&[health(State::Down)]), State::Down);
    }
}
