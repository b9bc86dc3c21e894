//! What carts learns of the others.

use http::StatusCode;
use serde::Deserialize;
use souk_chassis::context::now;
use souk_chassis::{Problem, background};
use souk_events::Delivered;
use uuid::Uuid;

use crate::domain::Cart;
use crate::store::{self, Error, Owner, Step};

/// How long carts are looked through for one event, in milliseconds: less than the broker waits.
const PATIENCE: i64 = 3_000;

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

/// Looks through all carts: a product is seldom deleted, and the store knows no other way to find those that have it. Where there are
/// so many that it takes too long, the rest is done when the event comes again.
async fn drop_product(ProductDeleted { product_id }: ProductDeleted) -> Result<(), Problem> {
    let ends_at = background::now() + PATIENCE;
    let after = store::dropped_to(product_id)?;
    let mut keys = store::cart_keys()?;
    keys.sort_unstable();
    keys.retain(|key| Some(key) > after.as_ref());
    for key in keys {
        let owner = Owner::of_key(&key);
        if let Some(owner) = owner.filter(|owner| has(owner, product_id)) {
            change(&owner, |cart| cart.remove(product_id, now())).await?;
        }
        if background::now() > ends_at {
            store::note_dropped_to(product_id, &key)?;
            return Err(Problem::unavailable(
                "there are more carts to look through",
                1,
            ));
        }
    }
    Ok(store::forget_dropped(product_id)?)
}

fn has(owner: &Owner, product_id: Uuid) -> bool {
    // One that cannot be read now is looked at by whoever changes it.
    let cart = store::find(owner);
    cart.map_or(true, |cart| {
        cart.is_some_and(|cart| cart.line(product_id).is_some())
    })
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
