//! HTTP in and out.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use souk_chassis::{Context, Json, Path, Problem, Query};

use crate::domain::{Filter, Instance, Instances, Name, Registration};
use crate::{background, store, watch};

/// Lets only a host through, which is who runs instances.
pub struct Host;

impl<S: Sync> FromRequestParts<S> for Host {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = Context::from_request_parts(parts, state).await?;
        context.require_service(&["host"])?;
        Ok(Self)
    }
}

/// Lets any service through, whoever it acts for.
pub struct AnyService;

impl<S: Sync> FromRequestParts<S> for AnyService {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = Context::from_request_parts(parts, state).await?;
        match context.caller.and_then(|caller| caller.service) {
            Some(_) => Ok(Self),
            None => Err(Problem::unauthorized("this is for services")),
        }
    }
}

/// `GET /instances`
pub async fn list(_: AnyService, Query(filter): Query<Filter>) -> Result<Json<Instances>, Problem> {
    Ok(Json(watch::instances(&filter).await?))
}

/// `PUT /instances/{service}/{instance}`
pub async fn register(
    _: Host,
    Path((service, id)): Path<(Name, Name)>,
    Json(registration): Json<Registration>,
) -> Result<(StatusCode, Json<Instance>), Problem> {
    let registered = store::register(&service, &id, &registration).await?;
    let status = match registered.new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok((status, Json(registered.instance)))
}

/// `DELETE /instances/{service}/{instance}`
pub async fn deregister(
    _: Host,
    Path((service, id)): Path<(Name, Name)>,
) -> Result<StatusCode, Problem> {
    store::remove(&service, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /internal/tick`
pub async fn tick() -> Result<StatusCode, Problem> {
    background::work().await?;
    Ok(StatusCode::NO_CONTENT)
}
