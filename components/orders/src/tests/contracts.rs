//! What the consumers of this service expect of it; and that the stand-ins for its neighbours are as its contracts with those
//! say, since all the other tests build on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use http::HeaderMap;
use souk_chassis::Context;

use super::neighbours::Fault::RequestLost;
use super::*;
use crate::clients::Request;

#[test]
fn consumers_get_what_they_need() {
    souk_contracts::replay(&SERVICE, |given| {
        open_shop();
        let card = match given {
            "nothing" => None,
            "an order" | "a confirmed order" => Some(GOOD),
            "a rejected order" => Some(DECLINED),
            other => panic!("no state is called {other:?}"),
        };
        let mut values = BTreeMap::from([
            ("user_id".into(), ADA.into()),
            ("product_id".into(), CHAIR.into()),
        ]);
        if let Some(card) = card {
            values.insert("order_id".into(), id(&place("k", paid_with(card))));
        }
        values
    });
}

#[test]
fn the_stand_ins_are_as_the_contracts_say() {
    let mut interactions = 0;
    for provider in ["products", "inventory", "payments", "carts"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("contracts/{provider}.json"));
        let contract: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        for interaction in contract["interactions"].as_array().unwrap() {
            let interaction = interaction.clone();
            interactions += 1;
            std::thread::spawn(move || replay(provider, &interaction))
                .join()
                .unwrap();
        }
    }
    assert!(interactions > 30);
}

fn replay(provider: &'static str, interaction: &Value) {
    let values = set_up(interaction["given"].as_str().unwrap());
    let fill = |value: &Value| {
        let filled = |text: String, (name, value): (&&str, &String)| {
            text.replace(&format!("{{{name}}}"), value)
        };
        let text = values.iter().fold(value.to_string(), filled);
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let request = fill(&interaction["request"]);
    let mut headers = HeaderMap::new();
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        let name = http::HeaderName::try_from(name).unwrap();
        headers.insert(name, value.as_str().unwrap().try_into().unwrap());
    }
    let reply = simulation::run(neighbours::exchange(
        &context(),
        Request {
            method: request["method"].as_str().unwrap().parse().unwrap(),
            service: provider,
            path: request["path"].as_str().unwrap().into(),
            headers,
            body: request.get("body").cloned(),
        },
    ));
    let reply = reply.unwrap().unwrap();
    let described = &interaction["description"];
    assert_eq!(
        json!(reply.status),
        interaction["response"]["status"],
        "{described}: {}",
        reply.body
    );
    if let Some(expected) = interaction["response"].get("body") {
        let mut lacks = Vec::new();
        souk_contracts::missing(&fill(expected), &reply.body, "$", &mut lacks);
        assert!(lacks.is_empty(), "{described}: {lacks:?}");
    }
}

fn context() -> Context {
    Context {
        service: "orders",
        request_id: http::HeaderValue::from_static("r"),
        traceparent: None,
        tracestate: None,
        caller: Some(Caller {
            service: None,
            user: Some(ADA.into()),
            role: Some(Role::Customer),
        }),
        deadline: None,
        load: None,
    }
}

/// Brings the stand-ins into the state of this name, by the saga itself where it leads there.
fn set_up(given: &str) -> BTreeMap<&'static str, String> {
    neighbours::sell(CHAIR, 2450, 10);
    let mut order_id = BOB.to_owned();
    let mut token = "tok_4242".to_owned();
    let mut ordered = |card: &str| {
        let mut body = paid_with(card);
        body["items"] = json!([{"product_id": CHAIR, "quantity": 2}]);
        order_id = id(&place("k", body));
        let paid = neighbours::payment_status(&order_id).is_some();
        token = if paid {
            neighbours::payment_token(&order_id)
        } else {
            token.clone()
        };
        order_id.clone()
    };
    match given {
        "nothing"
        | "nothing in stock"
        | "a product"
        | "a product with 10 in stock"
        | "a good card's token" => {}
        "a customer's cart" => neighbours::fill_cart(&[(CHAIR, 2)]),
        "a declined card's token" => token = "tok_0002".into(),
        "a card's token and a provider that does not answer" => neighbours::hold_decisions(),
        "an open reservation of 2 of 10" => {
            neighbours::fail_always("/authorize", RequestLost);
            ordered(GOOD);
        }
        "an authorized payment" => {
            neighbours::fail_always("/capture", RequestLost);
            ordered(GOOD);
        }
        "an authorized payment whose capture fails" => {
            neighbours::fail_always("/capture", RequestLost);
            ordered(CAPTURE_FAILS);
        }
        "a payment whose capture failed" => {
            neighbours::fail_always("/void", RequestLost);
            ordered(CAPTURE_FAILS);
        }
        "a captured payment" | "a committed reservation" => drop(ordered(GOOD)),
        "a voided payment" => drop(ordered(CAPTURE_FAILS)),
        "a refunded payment" | "a released reservation" => drop(cancel(&ordered(GOOD))),
        "an expired reservation of stock that is gone" => {
            neighbours::fail_always("/commit", RequestLost);
            ordered(GOOD);
            neighbours::expire_reservations_and_sell_out();
        }
        other => panic!("no state is called {other:?}"),
    }
    neighbours::heal_calls();
    BTreeMap::from([
        ("order_id", order_id),
        ("token", token),
        ("user_id", ADA.into()),
        ("product_id", CHAIR.into()),
        ("version", neighbours::cart_version().to_string()),
    ])
}
