//! What fails on purpose.

use axum::response::Response;
use futures::future::join;
use http::{StatusCode, Uri};
use souk_chassis::background::now;

use super::{answer, done};
use crate::clients::console::{self as api, part};
use crate::clients::{Missing, Refusal};
use crate::domain::console::link;
use crate::domain::console::operations::NewFault;
use crate::forms::{Form, Sent};
use crate::pages::parameter;
use crate::session::{Operator, Visitor};

const FAULTS: &str = "/console/faults";

/// Who makes calls that can be told to fail but is none of the services that the gateway leads to.
const GATEWAY: &str = "gateway";

/// `GET /console/faults`
pub async fn show(Operator(visitor): Operator, uri: Uri) -> Response {
    let form = Form::of(&[
        ("from", GATEWAY),
        ("to", "products"),
        ("error_percent", "100"),
        ("latency_ms", "0"),
        ("seconds", "60"),
    ]);
    page(&visitor, &form, &uri).await
}

async fn page(visitor: &Visitor, form: &Form, uri: &Uri) -> Response {
    let both = async {
        let (faults, services) = join(api::faults(visitor), api::services(visitor)).await;
        let services = part(services)?.map_or(Vec::new(), |services| services.items);
        let names = services.into_iter().map(|one| one.service);
        let names: Vec<_> = std::iter::once(GATEWAY.to_owned()).chain(names).collect();
        Ok((faults?, names))
    };
    answer(visitor, uri, both, |console, (faults, names)| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let untold = parameter(uri, "untold").unwrap_or_default();
        console.faults(faults.as_deref(), form, &names, &untold)
    })
    .await
}

/// `POST /console/faults`: orders another one, beside those there are. Of the calls of one service to another there is one.
pub async fn order(Operator(visitor): Operator, Sent(mut form): Sent) -> Response {
    let ordered = async {
        let there = api::faults(&visitor).await?.unwrap_or_default();
        let new = new_fault(&form);
        let others = there
            .iter()
            .filter(|it| (&it.from, &it.to) != (&new.from, &new.to));
        let mut faults: Vec<_> = others.filter_map(|it| it.again(now())).collect();
        faults.push(new);
        api::order_faults(&visitor, &faults).await
    };
    match ordered.await {
        Err(Missing::Refused(refusal)) if refusal.status == 422 => {
            refuse(&mut form, &refusal);
            let mut response = page(&visitor, &form, &Uri::from_static(FAULTS)).await;
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            response
        }
        outcome => told(&visitor, outcome).await,
    }
}

/// On to the list, which also says who could not be told.
async fn told(visitor: &Visitor, outcome: Result<String, Missing>) -> Response {
    let page = match &outcome {
        Ok(untold) => link(FAULTS, &[("untold", untold)]),
        Err(_) => FAULTS.to_owned(),
    };
    done(visitor, outcome.map(drop), &page).await
}

fn new_fault(form: &Form) -> NewFault {
    // What is no number the API refuses, as it does numbers that are too large.
    let number = |name: &str| form.get(name).trim().parse().unwrap_or(-1);
    NewFault {
        from: form.get("from").to_owned(),
        to: form.get("to").to_owned(),
        latency_ms: number("latency_ms"),
        error_percent: number("error_percent"),
        blackhole: form.is_ticked("blackhole"),
        seconds: number("seconds"),
    }
}

fn refuse(form: &mut Form, refusal: &Refusal) {
    form.refuse(
        refusal,
        &[
            "from",
            "to",
            "latency_ms",
            "error_percent",
            "seconds",
            "blackhole",
        ],
    );
}

/// `POST /console/faults/end`: all is well again.
pub async fn end(Operator(visitor): Operator, Sent(_): Sent) -> Response {
    let outcome = api::order_faults(&visitor, &[]).await;
    told(&visitor, outcome).await
}
