//! What operators see of how the services get along with each other, and what they may do to try it.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use http::{HeaderValue, Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use souk_chassis::{BODY_LIMIT, Context, Json, Problem, fields, json_body};
use souk_client::{Call, CallReport, Calls, Fault, NewFaults, faults};

use crate::aggregation::Warning;
use crate::health::{self, Health};
use crate::policies::POLICIES;
use crate::{clients, routes};

/// How long a service may take to say what it knows, in milliseconds.
const TIMEOUT_MS: u32 = 2_000;

/// The services, and where their instances are.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Services {
    /// Each of them.
    items: Vec<Service>,
    /// What could not be found out.
    warnings: Vec<Warning>,
}

/// A service.
#[derive(Debug, Serialize, JsonSchema)]
struct Service {
    #[serde(flatten)]
    health: Health,
    /// Its instances, as the registry lists them; none where nobody has registered.
    instances: Vec<clients::Object>,
}

/// `GET /api/ops/services`
pub async fn services(context: Context) -> Json<Services> {
    let (health, instances) =
        futures::join!(health::of_all(&context), clients::instances(&context));
    let (mut instances, warnings) = match instances {
        Ok(instances) => (instances, Vec::new()),
        Err(missing) => (Vec::new(), vec![Warning::of("instances", missing)]),
    };
    let items = health.into_iter().map(|health| {
        let own = |it: &mut clients::Object| {
            it.get("service").and_then(Value::as_str) == Some(health.service)
        };
        let instances = instances.extract_if(.., own).collect();
        Service { health, instances }
    });
    Json(Services {
        items: items.collect(),
        warnings,
    })
}

/// What each service knows of those it calls.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Breakers {
    /// By caller, then by callee.
    items: Vec<CallReport>,
    /// Services that could not be asked.
    warnings: Vec<Warning>,
}

/// `GET /api/ops/breakers`
pub async fn breakers(context: Context) -> Json<Breakers> {
    let own = souk_client::report(context.service).map_err(|error| error.to_string());
    let asked = routes::services()
        .into_iter()
        .map(|service| calls_of(&context, service));
    let mut all = vec![(context.service, own)];
    all.extend(join_all(asked).await);
    let (mut items, mut warnings) = (Vec::new(), Vec::new());
    for (service, calls) in all {
        match calls {
            Ok(calls) => items.extend(calls.items),
            Err(detail) => warnings.push(Warning::new(service, detail)),
        }
    }
    Json(Breakers { items, warnings })
}

/// What a service knows of those it calls.
pub async fn calls_of(
    context: &Context,
    service: &'static str,
) -> (&'static str, Result<Calls, String>) {
    let call = Call::get(context, POLICIES.to(service), "/internal/calls").unguarded(TIMEOUT_MS);
    let answer = async {
        let response = call.send().await.map_err(|error| error.detail())?;
        match response.status() {
            StatusCode::OK => response.json().await.map_err(|error| error.detail()),
            // It calls nobody.
            StatusCode::NOT_FOUND => Ok(Calls { items: Vec::new() }),
            status => Err(format!("the service {service} answered {status}")),
        }
    };
    (service, answer.await)
}

/// The faults that are ordered.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Faults {
    /// Those that are not over.
    items: Vec<Fault>,
}

/// `GET /api/ops/faults`
pub async fn faults(context: Context) -> Result<Json<Faults>, Problem> {
    faults::require_enabled().await?;
    let items = faults::all(context.service).map_err(Problem::internal)?;
    Ok(Json(Faults { items }))
}

/// `PUT /api/ops/faults`: tells every service which of its calls are to fail.
pub async fn order_faults(context: Context, request: Request) -> Result<Response, Problem> {
    faults::require_enabled().await?;
    let body = json_body(request, BODY_LIMIT).await?;
    let NewFaults(new) = fields::from_json(body.clone()).map_err(Problem::validation)?;
    faults::order_all(context.service, &new).map_err(Problem::internal)?;
    let told = routes::services()
        .into_iter()
        .map(|service| tell(&context, service, &body));
    let untold: Vec<_> = join_all(told).await.into_iter().flatten().collect();
    log(&new);
    let mut response = Json(Faults { items: new }).into_response();
    if let Ok(untold) = HeaderValue::try_from(untold.join(", "))
        && !untold.is_empty()
    {
        // What is down cannot be told, and makes no calls either.
        response.headers_mut().insert("x-souk-untold", untold);
    }
    Ok(response)
}

/// The service, if it could not be told.
async fn tell(context: &Context, service: &'static str, body: &Value) -> Option<&'static str> {
    let call = Call::new(
        context,
        Method::PUT,
        POLICIES.to(service),
        "/internal/faults",
    )
    .json(body);
    let told = call.unguarded(TIMEOUT_MS).send().await;
    // One that calls nobody has no calls that could fail.
    let known = [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND];
    let told = told.is_ok_and(|response| known.contains(&response.status()));
    (!told).then_some(service)
}

/// Nobody is to wonder later why calls failed.
fn log(faults: &[Fault]) {
    tracing::warn!(faults = faults.len(), "faults are ordered");
    for fault in faults {
        tracing::warn!(?fault, "fault");
    }
}
