//! What operators ask, in the administrator's own name.

use http::Method;
use serde_json::json;

use crate::clients::{Missing, call, get, path_of, send};
use crate::domain::console::map::Edges;
use crate::domain::console::measures::{Measures, Window};
use crate::domain::console::operations::{
    Breakers, DeadLetter, Fault, Faults, HeldBack, Hold, Logged, Movement, NewFault, Payment, Saga,
    Sales, Services, Standing, Stock,
};
use crate::domain::console::traces::{Logs, Summary, Trace};
use crate::domain::console::{Asked, List, link};
use crate::domain::order::{Order, OrderList};
use crate::domain::{Product, ProductList};
use crate::session::Visitor;

const TRACES: &str = "/api/ops/traces";
const FAULTS: &str = "/api/ops/faults";
const DEAD_LETTERS: &str = "/api/ops/dead-letters";
const SUBSCRIPTIONS: &str = "/api/ops/subscriptions";
const SAGAS: &str = "/api/ops/sagas";

/// How many rows a list of the console has.
const ROWS: &str = "50";

/// A part of a page, and whether the API would not give it: a console is looked at when things fail, so it shows what it can. Only whoever
/// is not signed in any more is shown nothing.
pub fn part<T>(asked: Result<T, Missing>) -> Result<Option<T>, Missing> {
    match asked {
        Ok(part) => Ok(Some(part)),
        Err(Missing::SignedOut) => Err(Missing::SignedOut),
        Err(missing) => {
            tracing::warn!(error = ?missing, "a part of the console cannot be had");
            Ok(None)
        }
    }
}

/// Requests to each service.
pub async fn measures(visitor: &Visitor, window: Window) -> Result<Measures, Missing> {
    get(visitor, &window.api_path("/api/ops/metrics", &[])).await
}

/// Requests to each route of a service.
pub async fn routes(visitor: &Visitor, service: &str, window: Window) -> Result<Measures, Missing> {
    let of = [("by", "route"), ("service", service)];
    get(visitor, &window.api_path("/api/ops/metrics", &of)).await
}

/// Who calls whom.
pub async fn edges(visitor: &Visitor, window: Window) -> Result<Edges, Missing> {
    get(visitor, &window.api_path("/api/ops/metrics/edges", &[])).await
}

/// What was ordered, by minutes.
pub async fn sales(visitor: &Visitor, window: Window) -> Result<Vec<Sales>, Missing> {
    let minutes = window.minutes.to_string();
    let path = link("/api/ops/sales", &[("minutes", &minutes)]);
    let sales: List<Sales> = get(visitor, &path).await?;
    Ok(sales.items)
}

/// One page of traces.
pub async fn traces(visitor: &Visitor, asked: &Asked) -> Result<List<Summary>, Missing> {
    get(visitor, &rows(TRACES, asked)).await
}

/// The traces of a request.
pub async fn traces_of(visitor: &Visitor, request_id: &str) -> Result<List<Summary>, Missing> {
    get(visitor, &link(TRACES, &[("request_id", request_id)])).await
}

/// A whole trace.
pub async fn trace(visitor: &Visitor, id: &str) -> Result<Trace, Missing> {
    get(visitor, &path_of(TRACES, id)?).await
}

/// One page of the log.
pub async fn logs(visitor: &Visitor, asked: &Asked) -> Result<Logs, Missing> {
    get(visitor, &rows("/api/ops/logs", asked)).await
}

/// The services, and where their instances are.
pub async fn services(visitor: &Visitor) -> Result<Services, Missing> {
    get(visitor, "/api/ops/services").await
}

/// What the services know of those they call.
pub async fn breakers(visitor: &Visitor) -> Result<Breakers, Missing> {
    get(visitor, "/api/ops/breakers").await
}

/// The faults that are ordered; none where there may be none.
pub async fn faults(visitor: &Visitor) -> Result<Option<Vec<Fault>>, Missing> {
    match get::<Faults>(visitor, FAULTS).await {
        Ok(faults) => Ok(Some(faults.items)),
        Err(Missing::Refused(refusal)) if refusal.status == 409 => Ok(None),
        Err(missing) => Err(missing),
    }
}

/// Orders these faults, in the place of all that were ordered before. Says which services could not be told; empty where all were.
pub async fn order_faults(visitor: &Visitor, faults: &[NewFault]) -> Result<String, Missing> {
    let body = json!({"faults": faults});
    let answer = send(call(visitor, Method::PUT, FAULTS).json(&body)).await?;
    let untold = answer.headers().get("x-souk-untold");
    let untold = untold.and_then(|services| services.to_str().ok());
    Ok(untold.unwrap_or_default().to_owned())
}

/// One page of the log of events.
pub async fn events(visitor: &Visitor, asked: &Asked) -> Result<List<Logged>, Missing> {
    get(visitor, &rows("/api/ops/events", asked)).await
}

/// How the consumers of events are doing.
pub async fn subscriptions(visitor: &Visitor) -> Result<Vec<Standing>, Missing> {
    let standings: List<Standing> = get(visitor, SUBSCRIPTIONS).await?;
    Ok(standings.items)
}

/// One page of what is held back for a consumer of events.
pub async fn held(
    visitor: &Visitor,
    consumer: &str,
    asked: &Asked,
) -> Result<List<HeldBack>, Missing> {
    let path = format!("{}/held", path_of(SUBSCRIPTIONS, consumer)?);
    get(visitor, &rows(&path, asked)).await
}

/// One page of dead letters.
pub async fn dead_letters(visitor: &Visitor, asked: &Asked) -> Result<List<DeadLetter>, Missing> {
    get(visitor, &rows(DEAD_LETTERS, asked)).await
}

/// Has a dead letter delivered again.
pub async fn redeliver(visitor: &Visitor, letter: &str) -> Result<(), Missing> {
    let path = format!("{}/redeliver", path_of(DEAD_LETTERS, letter)?);
    send(call(visitor, Method::POST, &path)).await.map(drop)
}

/// One page of checkouts that are not done.
pub async fn sagas(visitor: &Visitor, asked: &Asked) -> Result<List<Saga>, Missing> {
    get(visitor, &rows(SAGAS, asked)).await
}

/// The checkout of an order.
pub async fn saga(visitor: &Visitor, order: &str) -> Result<Saga, Missing> {
    get(visitor, &path_of(SAGAS, order)?).await
}

/// Has a checkout go on now.
pub async fn retry(visitor: &Visitor, order: &str) -> Result<(), Missing> {
    let path = format!("{}/retry", path_of(SAGAS, order)?);
    send(call(visitor, Method::POST, &path)).await.map(drop)
}

/// One page of everybody's orders.
pub async fn orders(visitor: &Visitor, asked: &Asked) -> Result<OrderList, Missing> {
    get(visitor, &rows("/api/orders", asked)).await
}

/// The order with this number, if there is one.
pub async fn order_by_number(visitor: &Visitor, number: &str) -> Result<Option<Order>, Missing> {
    let found: OrderList = get(visitor, &link("/api/orders", &[("number", number)])).await?;
    Ok(found.items.into_iter().next())
}

/// The payment of an order; none where it never came to one.
pub async fn payment(visitor: &Visitor, order: &str) -> Result<Option<Payment>, Missing> {
    let found: List<Payment> = get(visitor, &link("/api/payments", &[("order_id", order)])).await?;
    Ok(found.items.into_iter().next())
}

/// One page of stock levels.
pub async fn stock(visitor: &Visitor, asked: &Asked) -> Result<List<Stock>, Missing> {
    get(visitor, &rows("/api/inventory", asked)).await
}

/// One page of the movements of a product's stock.
pub async fn movements(
    visitor: &Visitor,
    product: &str,
    asked: &Asked,
) -> Result<List<Movement>, Missing> {
    let path = format!("{}/ledger", path_of("/api/inventory", product)?);
    get(visitor, &rows(&path, asked)).await
}

/// One page of what orders hold of a product.
pub async fn holds(visitor: &Visitor, product: &str, asked: &Asked) -> Result<List<Hold>, Missing> {
    let path = format!("{}/reservations", path_of("/api/inventory", product)?);
    get(visitor, &rows(&path, asked)).await
}

/// The products with these ids; none where they cannot be had, since a list of stock does without their names.
pub async fn products(visitor: &Visitor, ids: &[&str]) -> Vec<Product> {
    if ids.is_empty() {
        return Vec::new();
    }
    let path = link("/api/products", &[("ids", &ids.join(","))]);
    let found: Result<ProductList, _> = get(visitor, &path).await;
    found.unwrap_or_default().items
}

/// Sets how many of a product are there.
pub async fn set_stock(visitor: &Visitor, product: &str, on_hand: i64) -> Result<(), Missing> {
    let path = path_of("/api/inventory", product)?;
    let body = json!({"on_hand": on_hand});
    send(call(visitor, Method::PUT, &path).json(&body))
        .await
        .map(drop)
}

/// The path of one page of a list.
fn rows(path: &str, asked: &Asked) -> String {
    let path = asked.at(path);
    let begin = if path.contains('?') { '&' } else { '?' };
    format!("{path}{begin}limit={ROWS}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_asked_for_page_by_page() {
        let asked = Asked::of("service=a%20b&cursor=c", &["service", "cursor"]);
        assert_eq!(rows("/l", &asked), "/l?service=a+b&cursor=c&limit=50");
        assert_eq!(rows("/l", &Asked::of("", &["cursor"])), "/l?limit=50");
    }

    #[test]
    fn a_page_does_without_what_cannot_be_had_but_not_without_its_reader() {
        assert!(matches!(part(Ok(1)), Ok(Some(1))));
        let away = || Missing::Unavailable("it is away".into());
        assert!(matches!(part::<()>(Err(away())), Ok(None)));
        let signed_out = part::<()>(Err(Missing::SignedOut));
        assert!(matches!(signed_out, Err(Missing::SignedOut)));
    }
}
