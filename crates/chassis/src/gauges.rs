//! What a service states about itself in numbers, for those who watch over the shop: how much waits in it, and for how long.
//!
//! Prometheus asks one place, the gateway, which asks each service at `GET /internal/gauges`. A service says its gauges in one function:
//!
//! ```
//! use souk_chassis::gauges::{self, Gauge};
//! use souk_chassis::{Problem, Routes};
//!
//! async fn gauges() -> Result<Vec<Gauge>, Problem> {
//!     Ok(vec![Gauge::number("souk_parcels", "Parcels that are not sent.", 7).of("carrier", "pigeon")])
//! }
//!
//! let routes = Routes::new("Parcels.").route(gauges::operation(gauges));
//! ```
//!
//! All instances of a service share its database, so any of them can be asked. It is asked every few seconds: a gauge is what one
//! cheap statement says, however much there is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::extract::Json;
use crate::problem::Problem;
use crate::routes::{Operation, get};

/// A number that goes up and down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gauge {
    /// The name of the metric, such as `souk_parcels`; of seconds it ends with `_seconds`.
    pub name: String,
    /// What it says, the same for all of that name.
    pub help: String,
    /// What it is of.
    pub labels: BTreeMap<String, String>,
    /// The number.
    pub value: f64,
}

impl Gauge {
    /// So many of something.
    pub fn number(name: &str, help: &str, number: i64) -> Self {
        Self {
            name: name.into(),
            help: help.into(),
            labels: BTreeMap::new(),
            value: number as f64,
        }
    }

    /// A time that is known in milliseconds; never less than none, since clocks differ.
    pub fn seconds(name: &str, help: &str, ms: i64) -> Self {
        Self {
            value: ms.max(0) as f64 / 1_000.0,
            ..Self::number(name, help, 0)
        }
    }

    /// What it is of.
    pub fn of(mut self, label: &str, value: &str) -> Self {
        self.labels.insert(label.into(), value.into());
        self
    }
}

/// The route by which the gateway asks for the gauges of a service.
pub fn operation<G, E>(gauges: fn() -> G) -> Operation
where
    G: Future<Output = Result<Vec<Gauge>, E>> + Send + 'static,
    E: Into<Problem> + 'static,
{
    let show = async move |context: Context| {
        context.require_service(&["gateway"])?;
        gauges().await.map(Json).map_err(Into::into)
    };
    get("/internal/gauges", show)
        .summary("What it states about itself in numbers")
        .for_services()
        .returns::<Vec<Gauge>>(200)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::body::{Body, to_bytes};
    use futures::executor::block_on;
    use http::Request;
    use serde_json::{Value, json};

    use crate::context::Caller;
    use crate::routes::Routes;
    use crate::service::Service;

    async fn gauges() -> Result<Vec<Gauge>, Problem> {
        Ok(vec![
            Gauge::number("souk_parcels", "Parcels.", 7).of("carrier", "pigeon"),
            Gauge::seconds("souk_parcel_oldest_seconds", "How old.", 1_500),
            Gauge::seconds("souk_parcel_newest_seconds", "How old.", -3),
        ])
    }

    static SERVICE: Service = Service::private("parcels", || {
        Routes::new("Parcels.").route(operation(gauges))
    });

    fn asked_by(service: Option<&str>) -> (u16, Value) {
        let caller = service.map(|service| Caller {
            service: Some(service.into()),
            user: None,
            role: None,
        });
        let request = Request::get("/internal/gauges")
            .body(Body::empty())
            .unwrap();
        block_on(async {
            let response = SERVICE.answer_to(Ok(caller), request).await;
            let status = response.status().as_u16();
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            (status, serde_json::from_slice(&body).unwrap())
        })
    }

    #[test]
    fn the_gateway_is_told_and_nobody_else() {
        let (status, told) = asked_by(Some("gateway"));
        assert_eq!(status, 200);
        assert_eq!(
            told[0],
            json!({"name": "souk_parcels", "help": "Parcels.", "labels": {"carrier": "pigeon"}, "value": 7.0})
        );
        assert_eq!(
            (&told[1]["value"], &told[2]["value"]),
            (&json!(1.5), &json!(0.0))
        );
        assert_eq!(asked_by(Some("orders")).0, 403);
        assert_eq!(asked_by(None).0, 401);
    }
}
