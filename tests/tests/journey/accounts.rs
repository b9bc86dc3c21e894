//! Accounts: opening one, proving who one is, and leaving again.

use serde_json::{Value, json};
use souk_tests::{Customer, Reply, Session, Shop, address, at_once, souk_only, unique};
use std::time::Duration;

fn register(shop: &Shop, email: &str, password: &str) -> Reply {
    let body = json!({"email": email, "password": password, "name": "Ada"});
    shop.send("POST", "/api/users", &body)
}

fn log_in(shop: &Shop, email: &str, password: &str) -> Reply {
    let body = json!({"email": email, "password": password});
    shop.send("POST", "/api/sessions", &body)
}

fn refresh(shop: &Shop, session: &Session) -> Reply {
    let body = json!({"refresh_token": session.refresh_token});
    shop.send("POST", "/api/sessions/refresh", &body)
}

/// A problem without what differs from request to request.
fn without_id(reply: &Reply) -> Value {
    let mut problem = reply.json();
    problem.as_object_mut().unwrap().remove("request_id");
    problem
}

#[test]
fn an_account_is_opened_and_logged_in_to() {
    let shop = Shop::open();
    let email = format!("{}@souk.example", unique("Ada"));
    let made = register(&shop, &email, "a password to remember");
    assert_eq!(made.status, 201, "{}", made.text);
    let user = made.json();
    assert_eq!(
        (&user["name"], &user["role"]),
        (&json!("Ada"), &json!("customer"))
    );
    assert!(!made.text.contains("password"), "{}", made.text);

    let session = log_in(&shop, &email.to_uppercase(), "a password to remember");
    assert_eq!(session.status, 201, "{}", session.text);
    let tokens = session.json();
    assert_eq!(
        (&tokens["token_type"], &tokens["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    let me = shop
        .request("GET", "/api/users/me")
        .bearer_auth(tokens["access_token"].as_str().unwrap());
    assert_eq!(Reply::to(me).json()["id"], user["id"]);
    assert_eq!(shop.get("/api/users/me").status, 401);
}

#[test]
fn an_address_has_one_account_and_every_bad_field_is_named() {
    let shop = Shop::open();
    let email = format!("{}@souk.example", unique("twice"));
    assert_eq!(
        register(&shop, &email, "a password to remember").status,
        201
    );
    let again = register(&shop, &email.to_uppercase(), "another password of mine");
    assert_eq!((again.status, again.problem()), (409, "conflict".into()));

    let bad = shop.send(
        "POST",
        "/api/users",
        &json!({"email": "x", "password": "short", "name": ""}),
    );
    assert_eq!((bad.status, bad.problem()), (422, "validation".into()));
    let errors = bad.json()["errors"].as_array().unwrap().clone();
    let fields: Vec<_> = errors
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["email", "password", "name"]);
}

#[test]
fn a_wrong_password_and_an_unknown_address_are_told_the_same() {
    let shop = Shop::open();
    let customer = shop.customer();
    let wrong = log_in(&shop, &customer.email, "not the password");
    let unknown = log_in(
        &shop,
        &format!("{}@souk.example", unique("nobody")),
        "not the password",
    );
    assert_eq!((wrong.status, unknown.status), (401, 401));
    assert_eq!(without_id(&wrong), without_id(&unknown));
}

#[test]
fn a_refresh_token_is_good_once_and_a_spent_one_ends_the_session() {
    let shop = Shop::open();
    let customer = shop.customer();
    let second = refresh(&shop, &customer.session);
    assert_eq!(second.status, 201, "{}", second.text);
    let second = Session::of(&second.json());
    assert_ne!(second.refresh_token, customer.session.refresh_token);
    let third = Session::of(&refresh(&shop, &second).json());

    let again = refresh(&shop, &second);
    assert_eq!(again.status, 201, "the answer may have been lost");
    assert_eq!(again.json()["refresh_token"], third.refresh_token);
    assert_eq!(
        refresh(&shop, &customer.session).status,
        401,
        "the one before that is spent"
    );
    assert_eq!(
        refresh(&shop, &third).status,
        401,
        "it may be in the wrong hands as well"
    );
    assert_eq!(
        log_in(&shop, &customer.email, &customer.password).status,
        201
    );
}

#[test]
fn all_who_refresh_at_once_go_on_with_the_same_token() {
    let shop = Shop::open();
    let customer = shop.customer();
    let replies = at_once(10, || refresh(&shop, &customer.session));
    let sessions: Vec<_> = replies
        .iter()
        .map(|reply| {
            assert_eq!(reply.status, 201, "{replies:?}");
            Session::of(&reply.json())
        })
        .collect();
    let same = |session: &Session| session.refresh_token == sessions[0].refresh_token;
    assert!(sessions.iter().all(same), "{replies:?}");
    for session in &sessions {
        let request = shop.request("GET", "/api/users/me");
        let me = Reply::to(request.bearer_auth(&session.access_token));
        assert_eq!(me.status, 200, "{}", me.text);
    }
    assert_eq!(refresh(&shop, &sessions[9]).status, 201);
}

#[test]
fn a_token_that_was_spent_ten_seconds_ago_ends_the_session() {
    let shop = Shop::open();
    let customer = shop.customer();
    let next = Session::of(&refresh(&shop, &customer.session).json());
    std::thread::sleep(Duration::from_millis(10_500));
    assert_eq!(refresh(&shop, &customer.session).status, 401);
    assert_eq!(refresh(&shop, &next).status, 401);
}

#[test]
fn a_logout_ends_this_session_and_no_other() {
    let shop = Shop::open();
    let customer = shop.customer();
    let other = shop.log_in(&customer.email, &customer.password);
    let sessions = customer.get("/api/sessions").json();
    assert_eq!(sessions["items"].as_array().unwrap().len(), 2, "{sessions}");

    assert_eq!(customer.act("DELETE", "/api/sessions/current").status, 204);
    assert_eq!(refresh(&shop, &customer.session).status, 401);
    assert_eq!(refresh(&shop, &other).status, 201);
}

#[test]
fn a_profile_is_changed() {
    let shop = Shop::open();
    let customer = shop.customer();
    let changed = customer.send("PATCH", "/api/users/me", &json!({"name": "Grace"}));
    assert_eq!(changed.status, 200, "{}", changed.text);
    let me = customer.get("/api/users/me").json();
    assert_eq!(
        (&me["name"], &me["email"]),
        (&json!("Grace"), &json!(customer.email))
    );
}

#[test]
fn nobody_makes_themselves_an_administrator() {
    let shop = Shop::open();
    let customer = shop.customer();
    customer.send(
        "PATCH",
        "/api/users/me",
        &json!({"name": "A", "role": "admin"}),
    );
    let own = format!("/api/users/{}", customer.id);
    let refused = customer.send("PATCH", &own, &json!({"role": "admin"}));
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert_eq!(customer.get("/api/users/me").json()["role"], "customer");

    let promoted = shop.admin_send("PATCH", &own, &json!({"role": "admin"}));
    assert_eq!(promoted.status, 200, "{}", promoted.text);
    let session = shop.log_in(&customer.email, &customer.password);
    let list = shop
        .request("GET", "/api/users?limit=1")
        .bearer_auth(session.access_token);
    assert_eq!(Reply::to(list).status, 200);
}

fn addresses(customer: &Customer<'_>) -> Vec<Value> {
    let list = customer.get("/api/users/me/addresses").json();
    list["items"].as_array().unwrap().clone()
}

#[test]
fn addresses_are_kept_for_their_owner_alone() {
    let shop = Shop::open();
    let (customer, other) = (shop.customer(), shop.customer());
    let made = customer.send("POST", "/api/users/me/addresses", &address());
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!(
        "/api/users/me/addresses/{}",
        made.json()["id"].as_str().unwrap()
    );
    assert_eq!(customer.get(&path).json(), made.json());
    assert_eq!(other.get(&path).status, 404);
    assert_eq!(other.act("DELETE", &path).status, 404);

    let mut moved = address();
    moved["city"] = json!("Hamburg");
    assert_eq!(
        customer.send("PUT", &path, &moved).json()["city"],
        "Hamburg"
    );
    assert_eq!(addresses(&customer).len(), 1);
    assert_eq!(customer.act("DELETE", &path).status, 204);
    assert!(addresses(&customer).is_empty());
    moved["country"] = json!("XX");
    let bad = customer.send("POST", "/api/users/me/addresses", &moved);
    assert_eq!((bad.status, bad.problem()), (422, "validation".into()));
}

#[test]
fn a_new_password_ends_all_other_sessions() {
    let shop = Shop::open();
    let customer = shop.customer();
    let other = shop.log_in(&customer.email, &customer.password);
    let change = |current: &str| {
        let body = json!({"current_password": current, "new_password": "another one to remember"});
        customer.send("POST", "/api/users/me/password", &body)
    };
    assert_eq!(change("not the password").status, 422);
    let changed = change(&customer.password);
    assert_eq!(changed.status, 204, "{}", changed.text);
    assert_eq!(refresh(&shop, &other).status, 401);
    assert_eq!(
        refresh(&shop, &customer.session).status,
        201,
        "who changed it stays"
    );
    assert_eq!(
        log_in(&shop, &customer.email, &customer.password).status,
        401
    );
    assert_eq!(
        log_in(&shop, &customer.email, "another one to remember").status,
        201
    );
}

#[test]
fn everything_that_is_kept_of_somebody_is_theirs_to_have() {
    let shop = Shop::open();
    let customer = shop.customer();
    customer.send("POST", "/api/users/me/addresses", &address());
    let export = customer.get("/api/users/me/export");
    assert_eq!(export.status, 200);
    assert!(
        export
            .header("content-disposition")
            .starts_with("attachment")
    );
    let kept = export.json();
    assert_eq!(kept["user"]["email"], json!(customer.email));
    assert_eq!(kept["addresses"][0]["city"], "Berlin");
    assert!(!export.text.contains("argon2"), "{}", export.text);
}

#[test]
fn a_deleted_account_is_forgotten_and_its_orders_stay() {
    let shop = Shop::open();
    let product = shop.product_with_stock(5, 1000);
    let customer = shop.customer();
    customer.send("POST", "/api/users/me/addresses", &address());
    let order = customer.buy(&[(&product, 1)]);

    assert_eq!(customer.act("DELETE", "/api/users/me").status, 204);
    assert_eq!(
        log_in(&shop, &customer.email, &customer.password).status,
        401
    );
    assert_eq!(refresh(&shop, &customer.session).status, 401);
    assert_eq!(
        customer.get("/api/users/me").status,
        401,
        "the token still lives, the account does not"
    );
    let gone = Reply::to(shop.admin("GET", &format!("/api/users/{}", customer.id)));
    assert!(!gone.text.contains(&customer.email), "{}", gone.text);
    let kept = Reply::to(shop.admin("GET", &format!("/api/orders/{order}")));
    assert_eq!(
        (kept.status, &kept.json()["user_id"]),
        (200, &json!(customer.id))
    );
    assert_eq!(
        register(&shop, &customer.email, "a password to remember").status,
        201
    );
}

#[test]
fn who_guesses_has_to_wait() {
    souk_only!();
    // Whoever guesses against a running shop would make everybody at the same address wait.
    let shop = Shop::start();
    let customer = shop.customer();
    // Ten are free. How many more there are before a wait is felt depends on how soon one comes after the other.
    let mut free = 0;
    let guess = |number| log_in(&shop, &customer.email, &format!("a guess number {number}"));
    let refused = loop {
        let guess = guess(free);
        if guess.status != 401 {
            break guess;
        }
        free += 1;
        assert!(free < 40, "nobody has to wait");
    };
    assert!(free >= 10, "{free}");
    assert_eq!(refused.status, 429, "{}", refused.text);
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
}

#[test]
fn a_shop_without_an_administrator_has_none() {
    souk_only!();
    let launch = Shop::launcher()
        .variable("admin_email", "")
        .variable("admin_password", "");
    let shop = Shop::launch(launch);
    for (email, password) in [
        ("admin@souk.example", "a password of the tests"),
        ("x", "y"),
    ] {
        assert_eq!(log_in(&shop, email, password).status, 401);
    }
    let empty = log_in(&shop, "", "");
    assert_eq!(empty.status, 422, "{}", empty.text);
}

#[test]
fn nobody_registers_as_the_first_administrator() {
    souk_only!();
    let shop = Shop::start();
    let taken = register(&shop, "Admin@souk.example", "a password to remember");
    assert_eq!(taken.status, 409, "{}", taken.text);
    assert_eq!(
        log_in(&shop, "admin@souk.example", "a password to remember").status,
        401
    );
    assert_eq!(
        log_in(&shop, "admin@souk.example", "a password of the tests").status,
        201
    );
}
