//! Products and inventory as a test wants them, one of each per thread.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Value, json};
use souk_chassis::Context;
use uuid::Uuid;

use souk_keyvalue::memory::meanwhile;

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

#[derive(Default)]
struct World {
    products: BTreeMap<Uuid, Value>,
    levels: BTreeMap<Uuid, i64>,
    down: Vec<&'static str>,
    asked: usize,
    on_ask: Option<Box<dyn FnOnce() + Send>>,
}

/// Sells a product at a price, and has so many of it.
pub fn sell(id: Uuid, name: &str, cents: i64, available: i64) {
    let price = json!({"amount": cents, "currency": "EUR"});
    let product = json!({"id": id, "sku": "X", "name": name, "price": price, "image_url": null});
    WORLD.with_borrow_mut(|world| {
        world.products.insert(id, product);
        world.levels.insert(id, available);
    });
}

/// Sells a product no longer.
pub fn withdraw(id: Uuid) {
    WORLD.with_borrow_mut(|world| world.products.remove(&id));
}

/// These services do not answer.
pub fn down(services: &[&'static str]) {
    WORLD.with_borrow_mut(|world| world.down = services.to_vec());
}

/// How often somebody was asked something.
pub fn asked() -> usize {
    WORLD.with_borrow(|world| world.asked)
}

/// While a service is asked something, somebody does this.
pub fn when_asked(happens: impl FnOnce() + Send + 'static) {
    WORLD.with_borrow_mut(|world| world.on_ask = Some(Box::new(happens)));
}

/// What the network does in a component.
pub async fn fetch(context: &Context, service: &str, path: &str) -> Result<Value, String> {
    assert_eq!(context.service, "carts");
    if let Some(happens) = WORLD.with_borrow_mut(|world| world.on_ask.take()) {
        meanwhile(happens);
    }
    WORLD.with_borrow_mut(|world| {
        world.asked += 1;
        if world.down.contains(&service) {
            return Err(format!("the service {service} is down"));
        }
        let items: Vec<Value> = match path.split_once('=').expect("a query") {
            ("/api/products?ids", ids) => {
                assert_eq!(service, "products");
                known(ids, |id| world.products.get(id).cloned())
            }
            ("/api/inventory?product_ids", ids) => {
                assert_eq!(service, "inventory");
                let level = |id: &Uuid, available: &i64| {
                    json!({"product_id": id, "on_hand": available, "reserved": 0, "available": available})
                };
                known(ids, |id| world.levels.get(id).map(|available| level(id, available)))
            }
            _ => panic!("nobody has {path}"),
        };
        Ok(json!({"items": items, "next_cursor": null}))
    })
}

fn known(ids: &str, find: impl Fn(&Uuid) -> Option<Value>) -> Vec<Value> {
    let ids: Vec<Uuid> = ids
        .split(',')
        .map(|id| id.parse().expect("a UUID"))
        .collect();
    assert!((1..=100).contains(&ids.len()), "that many are not answered");
    ids.iter().filter_map(find).collect()
}
