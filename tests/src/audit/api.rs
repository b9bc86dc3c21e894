//! What the public API says, to the administrator and to each customer.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use super::{Answers, Findings, Known, Placed, Promise};
use crate::Caller;

/// How long a request may be repeated until there is an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Compares what clients were told with what they are told now.
pub fn compare(url: &str, answers: &Answers) -> Findings {
    let mut found = Findings::default();
    let mut admin = Caller::new(url, answers.admin.clone());
    if let Err(why) = ask_the_admin(&mut admin, answers, &mut found) {
        found.complain("api", why);
    }
    for customer in &answers.customers {
        let asked = match customer.is_gone {
            true => is_gone(&mut admin, customer, &mut found),
            false => ask_the_customer(url, customer, answers, &mut found),
        };
        if let Err(why) = asked {
            found.complain("api", why);
        }
    }
    let orders = answers
        .customers
        .iter()
        .map(|it| it.orders.len())
        .sum::<usize>();
    let promises = answers.promises.len();
    found.compared = format!(
        "{orders} answers and {promises} promises to {} customers",
        answers.customers.len()
    );
    found
}

fn ask_the_admin(
    admin: &mut Caller,
    answers: &Answers,
    found: &mut Findings,
) -> Result<(), String> {
    let audit = admin.get("/api/inventory/audit")?.json();
    if audit["mismatches"] != json!([]) {
        found.complain("inventory's own audit", &audit["mismatches"]);
    }
    for standing in admin.list("/api/ops/subscriptions")? {
        if ["behind", "held", "dead"]
            .iter()
            .any(|it| standing[it] != 0)
        {
            found.complain("subscriptions", standing);
        }
    }
    for letter in admin.list("/api/ops/dead-letters")? {
        found.complain("dead letters", letter);
    }
    for promise in &answers.promises {
        if let Promise::Deleted(product) = promise
            && admin.get(&format!("/api/products/{product}"))?.status != 404
        {
            found.complain("promises", format!("product {product} is there"));
        }
    }
    Ok(())
}

/// The orders of whoever has deleted their account stand as they were told. (That nobody can log in to it is in the books; to try
/// would count as guessing.)
fn is_gone(admin: &mut Caller, customer: &Known, found: &mut Findings) -> Result<(), String> {
    for placed in &customer.orders {
        stands(admin, placed, found)?;
    }
    Ok(())
}

fn ask_the_customer(
    url: &str,
    customer: &Known,
    answers: &Answers,
    found: &mut Findings,
) -> Result<(), String> {
    let mut caller = Caller::new(url, customer.account.clone());
    for placed in &customer.orders {
        is_answered_again(&mut caller, placed, found)?;
        stands(&mut caller, placed, found)?;
    }
    let inbox = inbox(&mut caller)?;
    for placed in &customer.orders {
        is_told_once(placed, &inbox, found);
    }
    has_the_cart(&mut caller, customer, answers, found)
}

/// The same request gets the same answer, but for the request's own id.
fn is_answered_again(
    caller: &mut Caller,
    placed: &Placed,
    found: &mut Findings,
) -> Result<(), String> {
    let key = &placed.key;
    let again = caller.insist(PATIENCE, "POST", "/api/orders", Some(key), &placed.body);
    let again = again.ok_or_else(|| format!("no answer to the order {key}"))?;
    let without_id = |mut answer: Value| {
        if let Some(fields) = answer.as_object_mut() {
            fields.remove("request_id");
        }
        answer
    };
    let (first, now) = (without_id(placed.answer.clone()), without_id(again.json()));
    if (placed.status, &first) != (again.status, &now) {
        let (was, is) = (placed.status, again.status);
        found.complain(
            "answers",
            format!("{key} was answered {was} {first}, now {is} {now}"),
        );
    }
    Ok(())
}

/// The order and its payment are as the answer says.
fn stands(caller: &mut Caller, placed: &Placed, found: &mut Findings) -> Result<(), String> {
    let (key, Some(id)) = (&placed.key, placed.order_id()) else {
        found.complain("answers", format!("{} names no order", placed.key));
        return Ok(());
    };
    let order = caller.get(&format!("/api/orders/{id}"))?.json();
    let allowed: &[&str] = match placed.status {
        201 => &["confirmed", "shipped", "delivered", "cancelled"],
        _ => &["rejected", "cancelled"],
    };
    let status = order["status"].as_str().unwrap_or_default();
    if !allowed.contains(&status) {
        let answer = placed.status;
        found.complain(
            "answers",
            format!("{key} was answered {answer}, order {id} is {status:?}"),
        );
    }
    let payments = caller.list(&format!("/api/payments?order_id={id}"))?;
    let sum = |name: &str| -> i64 {
        let amounts = payments.iter().map(|it| it[name]["amount"].as_i64());
        amounts.map(Option::unwrap_or_default).sum()
    };
    let (captured, refunded) = (sum("captured"), sum("refunded"));
    let is_over = matches!(status, "rejected" | "cancelled");
    let total = order["total"]["amount"].as_i64().unwrap_or_default();
    if is_over && captured != refunded || !is_over && captured != total {
        found.complain(
            "answers",
            format!("order {id} is {status} for {total}: captured {captured}, refunded {refunded}"),
        );
    }
    Ok(())
}

/// How many notifications of each kind there are about each order.
type Inbox = BTreeMap<(String, String), usize>;

fn inbox(caller: &mut Caller) -> Result<Inbox, String> {
    let mut inbox = Inbox::new();
    for notification in caller.list("/api/notifications")? {
        let text = |name: &str| notification[name].as_str().unwrap_or_default().to_owned();
        *inbox.entry((text("kind"), text("order_id"))).or_default() += 1;
    }
    Ok(inbox)
}

fn is_told_once(placed: &Placed, inbox: &Inbox, found: &mut Findings) {
    let Some(id) = placed.order_id().filter(|_| placed.status == 201) else {
        return;
    };
    let of = ("order_confirmed".to_owned(), id.to_owned());
    let told = inbox.get(&of).copied().unwrap_or_default();
    if told != 1 {
        found.complain("inbox", format!("order {id} was confirmed {told} times"));
    }
}

/// What was ordered is in the cart no more, nor what is deleted; everything else still is.
fn has_the_cart(
    caller: &mut Caller,
    customer: &Known,
    answers: &Answers,
    found: &mut Findings,
) -> Result<(), String> {
    let Some(expected) = &customer.cart else {
        return Ok(());
    };
    let is_sold = |(product, _): &&(String, i64)| {
        !answers
            .promises
            .contains(&Promise::Deleted(product.clone()))
    };
    let mut expected: Vec<_> = expected.iter().filter(is_sold).cloned().collect();
    let mut cart = cart_of(&caller.get("/api/cart")?.json());
    expected.sort();
    cart.sort();
    if cart != expected {
        let email = &customer.account.email;
        found.complain("carts", format!("{email} has {cart:?}, not {expected:?}"));
    }
    Ok(())
}

/// The products and quantities in a cart.
pub fn cart_of(cart: &Value) -> Vec<(String, i64)> {
    let line = |line: &Value| {
        let product = line["product_id"].as_str()?.to_owned();
        Some((product, line["quantity"].as_i64()?))
    };
    cart["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(line)
        .collect()
}
