//! What carts learns of the others.

use http::StatusCode;
use serde::Deserialize;
use souk_chassis::Problem;
use souk_chassis::context::now;
use souk_events::Delivered;
use uuid::Uuid;

use crate::domain::Cart;
use crate::store::{self, Error, Owner, Step};

#[derive(Deserialize)]
struct OrderConfirmed {
    order_id: Uuid,
    user_id: String,
    items: Vec<Item>,
    from_cart: bool,
}

#[derive(Deserialize)]
struct Item {
    product_id: Uuid,
    quantity: i64,
}

#[derive(Deserialize)]
struct ProductDeleted {
    product_id: Uuid,
}

#[derive(Deserialize)]
struct UserDeleted {
    user_id: String,
}

/// `POST /internal/events`
pub async fn handle(Delivered(event): Delivered) -> Result<StatusCode, Problem> {
    match &*event.kind {
        "order.confirmed" => take_out_what_was_ordered(event.data()?).await?,
        "product.deleted" => drop_product(event.data()?).await?,
        "user.deleted" => {
            let UserDeleted { user_id } = event.data()?;
            change(&Owner::Account(user_id), |cart| cart.clear(now())).await?;
        }
        _ => {}
    }
    Ok(StatusCode::NO_CONTENT)
}

/// What was put into the cart while it was ordered stays in it. The cart remembers the order, so this is done once.
async fn take_out_what_was_ordered(order: OrderConfirmed) -> Result<(), Error> {
    if !order.from_cart {
        return Ok(());
    }
    let ordered: Vec<_> = order
        .items
        .iter()
        .map(|item| (item.product_id, item.quantity))
        .collect();
    let owner = Owner::Account(order.user_id);
    change(&owner, |cart| cart.settle(order.order_id, &ordered, now())).await
}

/// Looks through all carts: a product is seldom deleted, and the store knows no other way to find those that have it.
async fn drop_product(ProductDeleted { product_id }: ProductDeleted) -> Result<(), Error> {
    for owner in store::owners()? {
        if store::find(&owner)?.is_some_and(|cart| cart.line(product_id).is_some()) {
            change(&owner, |cart| cart.remove(product_id, now())).await?;
        }
    }
    Ok(())
}

/// Changes a cart, if there is one and it is not closed; `step` says whether it changed anything.
async fn change(owner: &Owner, mut step: impl FnMut(&mut Cart) -> bool) -> Result<(), Error> {
    store::change(owner, |cart| {
        let open = cart.filter(|cart| cart.closed.is_none());
        let changed = open.and_then(|mut cart| step(&mut cart).then_some(cart));
        changed.map_or(Step::Leave(()), |cart| Step::Write(cart, ()))
    })
    .await
}
