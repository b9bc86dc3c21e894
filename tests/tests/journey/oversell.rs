//! More customers than pieces.

use serde_json::Value;
use souk_tests::{Customer, Reply, Shop, cards};
use std::sync::Barrier;

const CLIENTS: usize = 200;
const PIECES: i64 = 50;

#[test]
fn two_hundred_clients_who_fight_for_fifty_pieces_get_fifty() {
    let shop = Shop::open();
    let product = shop.product_with_stock(PIECES, 1000);
    let customers: Vec<Customer<'_>> = (0..8).map(|_| shop.customer()).collect();
    let start = Barrier::new(CLIENTS);
    let replies: Vec<_> = std::thread::scope(|scope| {
        let (start, customers, product) = (&start, &customers, &product);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn(move || {
                    start.wait();
                    order(&customers[number % customers.len()], product)
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });

    // Whoever had to wait for too long was told 202, and waits on.
    let mut sold = 0;
    for reply in &replies {
        match reply.status {
            201 | 202 => sold += 1,
            409 => assert_eq!(reply.problem(), "out-of-stock", "{}", reply.text),
            status => panic!("{status} {}", reply.text),
        }
    }
    let pending = replies.iter().filter(|reply| reply.status == 202).count();
    shop.wait_for_stock(&product, [0, 0, 0]);
    shop.audit();

    let (mut confirmed, mut captured) = (0, 0);
    for customer in &customers {
        for order in all_orders(customer) {
            let id = order["id"].as_str().unwrap();
            match order["status"].as_str().unwrap() {
                "confirmed" => {
                    confirmed += 1;
                    captured += customer.wait_for_payment(id, "captured")["captured"]["amount"]
                        .as_i64()
                        .unwrap();
                }
                "rejected" => assert_eq!(customer.payment(id), Value::Null, "{order}"),
                _ => panic!("{order}"),
            }
        }
    }
    assert_eq!((confirmed, captured), (PIECES, PIECES * 1000));
    assert!(
        sold >= PIECES as usize && sold - pending <= PIECES as usize,
        "{sold} with {pending} pending"
    );
}

/// An order, by somebody who comes again when the shop has too much to do.
fn order(customer: &Customer<'_>, product: &str) -> Reply {
    loop {
        let reply = customer.order(&[(product, 1)], cards::GOOD);
        if reply.status != 503 {
            return reply;
        }
        let wait = reply.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_secs(wait));
    }
}

/// All orders of a customer, none of which is still on its way.
fn all_orders(customer: &Customer<'_>) -> Vec<Value> {
    let list = customer.get("/api/orders?limit=100").json();
    let ids = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| order["id"].as_str().unwrap());
    ids.map(|id| {
        let order = || customer.get(&format!("/api/orders/{id}")).json();
        let on_its_way = |order: &Value| {
            matches!(
                order["status"].as_str(),
                Some("pending" | "reserved" | "authorized")
            )
        };
        let mut found = order();
        for _ in 0..300 {
            if !on_its_way(&found) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
            found = order();
        }
        found
    })
    .collect()
}
