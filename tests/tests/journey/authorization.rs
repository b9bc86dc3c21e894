//! Who may do what: every operation of the contract, by everybody who may come along.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use souk_access::{Claims, LIFETIME, Role, SigningKey};
use souk_tests::{Customer, Host, Reply, Shop, address, cards, unique};
use souk_tokens::Key;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

use Access::{Admin, Anyone, Customers, Monitor, Owner, OwnerAlone};

/// Who an operation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Whoever asks, signed in or not.
    Anyone,
    /// Whoever is signed in, about what is their own.
    Customers,
    /// Whose thing it is, and administrators; for others it is not there.
    Owner,
    /// Whose thing it is, and nobody else.
    OwnerAlone,
    /// Administrators.
    Admin,
    /// Whoever brings the token of metrics, which is nobody's of these.
    Monitor,
}

/// Every operation, who it is for, and a body that is as it should be, where it takes one that must be for the question to be
/// decided. Whoever adds an operation to the contract has to say here who may use it.
const OPERATIONS: &[(&str, Access, &str)] = &[
    ("GET /api/health", Anyone, ""),
    ("GET /api/home", Anyone, ""),
    ("GET /api/openapi.json", Anyone, ""),
    ("GET /.well-known/jwks.json", Anyone, ""),
    // Accounts.
    ("POST /api/users", Anyone, "{}"),
    ("GET /api/users", Admin, ""),
    ("GET /api/users/{id}", Admin, ""),
    ("PATCH /api/users/{id}", Admin, r#"{"role":"customer"}"#),
    ("GET /api/users/me", Customers, ""),
    ("PATCH /api/users/me", Customers, r#"{"name":"Ada"}"#),
    ("DELETE /api/users/me", Customers, ""),
    ("GET /api/users/me/export", Customers, ""),
    ("POST /api/users/me/password", Customers, "{}"),
    ("GET /api/users/me/addresses", Customers, ""),
    ("POST /api/users/me/addresses", Customers, "{}"),
    ("GET /api/users/me/addresses/{id}", OwnerAlone, ""),
    ("PUT /api/users/me/addresses/{id}", OwnerAlone, ADDRESS),
    ("DELETE /api/users/me/addresses/{id}", OwnerAlone, ""),
    ("POST /api/sessions", Anyone, "{}"),
    ("POST /api/sessions/refresh", Anyone, "{}"),
    ("GET /api/sessions", Customers, ""),
    ("DELETE /api/sessions/current", Customers, ""),
    ("DELETE /api/sessions/{id}", OwnerAlone, ""),
    // Catalogue.
    ("GET /api/products", Anyone, ""),
    ("GET /api/products/{id}", Anyone, ""),
    ("GET /api/products/{id}/price-history", Admin, ""),
    ("POST /api/products", Admin, "{}"),
    ("PATCH /api/products/{id}", Admin, r#"{"name":"Tea"}"#),
    ("DELETE /api/products/{id}", Admin, ""),
    ("GET /api/categories", Anyone, ""),
    (
        "PUT /api/categories/{slug}",
        Admin,
        r#"{"name":"Tea","position":1}"#,
    ),
    // Stock.
    ("GET /api/inventory", Anyone, ""),
    ("GET /api/inventory/{product_id}", Anyone, ""),
    ("GET /api/inventory/{product_id}/ledger", Admin, ""),
    ("GET /api/inventory/{product_id}/reservations", Admin, ""),
    ("GET /api/inventory/audit", Admin, ""),
    ("PUT /api/inventory/{product_id}", Admin, r#"{"on_hand":5}"#),
    (
        "POST /api/inventory/{product_id}/adjustments",
        Admin,
        r#"{"delta":1,"reason":"found"}"#,
    ),
    // Carts.
    ("GET /api/cart", Anyone, ""),
    ("DELETE /api/cart", Anyone, ""),
    (
        "PUT /api/cart/items/{product_id}",
        Anyone,
        r#"{"quantity":1}"#,
    ),
    ("DELETE /api/cart/items/{product_id}", Anyone, ""),
    // Orders and payments.
    ("POST /api/orders", Customers, "{}"),
    ("GET /api/orders", Customers, ""),
    ("GET /api/orders/{id}", Owner, ""),
    ("GET /api/orders/{id}/summary", Owner, ""),
    ("GET /api/orders/{id}/stream", Owner, ""),
    ("POST /api/orders/{id}/cancel", Owner, ""),
    (
        "POST /api/orders/{id}/ship",
        Admin,
        r#"{"carrier":"Post","tracking":"1"}"#,
    ),
    ("POST /api/orders/{id}/deliver", Admin, ""),
    ("GET /api/payments", Customers, ""),
    ("GET /api/payments/{id}", Owner, ""),
    ("POST /api/payments/{id}/refunds", Admin, "{}"),
    // Notifications.
    ("GET /api/notifications", Customers, ""),
    ("POST /api/notifications/{id}/read", OwnerAlone, ""),
    ("GET /api/notifications/deliveries", Admin, ""),
    ("POST /api/notifications/deliveries/{id}/retry", Admin, ""),
    // Operations.
    ("GET /api/ops/services", Admin, ""),
    ("GET /api/ops/breakers", Admin, ""),
    ("GET /api/ops/faults", Admin, ""),
    ("PUT /api/ops/faults", Admin, r#"{"faults":[]}"#),
    ("GET /api/ops/sales", Admin, ""),
    ("GET /api/ops/sagas", Admin, ""),
    ("GET /api/ops/sagas/{order}", Admin, ""),
    ("POST /api/ops/sagas/{order}/retry", Admin, ""),
    // Events.
    ("GET /api/ops/events", Admin, ""),
    ("GET /api/ops/subscriptions", Admin, ""),
    ("GET /api/ops/subscriptions/{consumer}/held", Admin, ""),
    (
        "POST /api/ops/subscriptions/{consumer}/replay",
        Admin,
        r#"{"from":0}"#,
    ),
    ("GET /api/ops/dead-letters", Admin, ""),
    (REDELIVER, Admin, ""),
    // Telemetry.
    ("GET /api/ops/traces", Admin, ""),
    (TRACE, Admin, ""),
    ("GET /api/ops/logs", Admin, ""),
    ("GET /api/ops/metrics", Admin, ""),
    ("GET /api/ops/metrics/edges", Admin, ""),
    ("GET /api/ops/metrics/points", Admin, ""),
    ("GET /metrics", Monitor, ""),
];

/// Nobody has exported a trace here, so for administrators there is none; the tests of telemetry have some.
const TRACE: &str = "GET /api/ops/traces/{trace}";

/// There is no dead letter to be had here, so for administrators there is none; the broker's own tests have some.
const REDELIVER: &str = "POST /api/ops/dead-letters/{letter}/redeliver";

const ADDRESS: &str =
    r#"{"name":"Ada","line1":"1 Main St","city":"Paris","postal_code":"75001","country":"FR"}"#;

/// What comes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Whatever it is answered with, it is not about who asks.
    LetIn,
    /// 401: who are you?
    Unknown,
    /// 403: not you.
    Refused,
    /// 404: there is no such thing, for you.
    NotThere,
}

impl Verdict {
    fn of(status: u16) -> Self {
        match status {
            401 => Self::Unknown,
            403 => Self::Refused,
            404 => Self::NotThere,
            _ => Self::LetIn,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Nobody,
    /// Nobody, who claims to be a service that speaks for an administrator.
    PretendedService,
    Other,
    Owner,
    Admin,
    /// Somebody with an access token that is not to be believed.
    Untrusted,
}

fn expected(caller: Caller, access: Access) -> Verdict {
    use Caller::{Nobody, Other, PretendedService, Untrusted};
    match (caller, access) {
        // Whoever shows a token that is not to be believed is told so, also where none is needed.
        (Untrusted, _) | (_, Monitor) => Verdict::Unknown,
        (_, Anyone) => Verdict::LetIn,
        (Nobody | PretendedService, _) => Verdict::Unknown,
        (_, Customers) | (Caller::Owner, Owner | OwnerAlone) | (Caller::Admin, Owner | Admin) => {
            Verdict::LetIn
        }
        (Other, Owner | OwnerAlone) | (Caller::Admin, OwnerAlone) => Verdict::NotThere,
        (Other | Caller::Owner, Admin) => Verdict::Refused,
    }
}

/// The operations of the shop's contract, such as `GET /api/orders/{id}`.
fn operations(shop: &Shop) -> BTreeSet<String> {
    let document = shop.get("/api/openapi.json").json();
    assert!(
        document["x-warnings"].is_null(),
        "{}",
        document["x-warnings"]
    );
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| -> Vec<String> {
        let methods = item
            .as_object()
            .unwrap()
            .keys()
            .map(|method| method.to_uppercase());
        methods.map(|method| format!("{method} {path}")).collect()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn nobody_has_forgotten_an_operation() {
    let served = operations(&Shop::open());
    let known: BTreeSet<String> = OPERATIONS.iter().map(|row| row.0.to_owned()).collect();
    let forgotten: Vec<_> = served.difference(&known).collect();
    assert!(
        forgotten.is_empty(),
        "say in this file who these are for: {forgotten:?}"
    );
    let gone: Vec<_> = known.difference(&served).collect();
    assert!(gone.is_empty(), "these are not in the contract: {gone:?}");
}

#[test]
fn every_operation_is_for_whom_it_is_meant() {
    let shop = Shop::open();
    let matrix = Matrix::new(&shop);
    let mut wrong = Vec::new();
    for (operation, access, body) in OPERATIONS {
        for (name, caller, token) in matrix.callers(operation) {
            let status = matrix.ask(operation, body, caller, token.as_deref());
            assert!(status < 500, "{operation} by {name}: {status}");
            let found = match (*operation, caller, status) {
                (REDELIVER | TRACE, Caller::Admin, 404) => Verdict::LetIn,
                _ => Verdict::of(status),
            };
            let expected = expected(caller, *access);
            if found != expected {
                wrong.push(format!(
                    "{operation} by {name}: {expected:?} expected, but it is {status}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_stock_of_everything_is_for_administrators() {
    let shop = Shop::open();
    let customer = shop.customer();
    let path = "/api/inventory?limit=1";
    assert_eq!(shop.get(path).status, 401);
    assert_eq!(customer.get(path).status, 403);
    assert_eq!(status(shop.admin("GET", path)), 200);
}

/// The shop, and the people in it.
struct Matrix<'a> {
    shop: &'a Shop,
    owner: Customer<'a>,
    other: Customer<'a>,
    untrusted: Vec<(String, String)>,
}

type Asking = (String, Caller, Option<String>);

impl<'a> Matrix<'a> {
    fn new(shop: &'a Shop) -> Self {
        let (owner, other) = (shop.customer(), shop.customer());
        Self {
            untrusted: untrusted_tokens(shop, &owner),
            shop,
            owner,
            other,
        }
    }

    /// Everybody, each with the access token they show.
    fn callers(&self, operation: &str) -> Vec<Asking> {
        // Whoever deletes themselves is somebody who is not needed any more.
        let customer = |kept: &Customer<'_>| match operation {
            "DELETE /api/users/me" => self.shop.customer().session.access_token,
            _ => kept.session.access_token.clone(),
        };
        let admin = match operation {
            "DELETE /api/users/me" => another_admin(self.shop),
            _ => self.shop.admin_token(),
        };
        let mut callers = vec![
            ("nobody".into(), Caller::Nobody, None),
            ("a pretended service".into(), Caller::PretendedService, None),
            (
                "another customer".into(),
                Caller::Other,
                Some(customer(&self.other)),
            ),
            (
                "the owner".into(),
                Caller::Owner,
                Some(customer(&self.owner)),
            ),
            ("an admin".into(), Caller::Admin, Some(admin)),
        ];
        let untrusted = self.untrusted.iter();
        callers.extend(
            untrusted.map(|(name, token)| (name.clone(), Caller::Untrusted, Some(token.clone()))),
        );
        callers
    }

    /// The status of an operation's answer. What it is about is new each time, so that nobody meets what another one did to it.
    fn ask(&self, operation: &str, body: &str, caller: Caller, token: Option<&str>) -> u16 {
        let (method, template) = operation.split_once(' ').unwrap();
        let mut request = self.shop.request(method, &self.path(template));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if caller == Caller::PretendedService {
            for token in service_tokens(template) {
                request = request.header("x-souk-token", token);
            }
            request = request.header("spin-client-addr", "0.0.0.0:0");
        }
        if !body.is_empty() {
            let request = request.header("content-type", "application/json");
            return status(
                request
                    .header("idempotency-key", unique("key"))
                    .body(body.to_owned()),
            );
        }
        status(request)
    }

    fn path(&self, template: &str) -> String {
        let Some((before, rest)) = template.split_once('{') else {
            return match template {
                "/api/inventory" => format!("/api/inventory?product_ids={}", Uuid::now_v7()),
                "/api/payments" => format!("/api/payments?order_id={}", Uuid::now_v7()),
                path => path.to_owned(),
            };
        };
        let after = rest.split_once('}').unwrap().1;
        format!("{before}{}{after}", self.thing(before))
    }

    /// What a path is about; of the owner, if it is anybody's.
    fn thing(&self, before: &str) -> String {
        let (shop, owner) = (self.shop, &self.owner);
        let id = |thing: Value| {
            thing["id"]
                .as_str()
                .unwrap_or_else(|| panic!("{thing}"))
                .to_owned()
        };
        match before {
            "/api/users/" => owner.id.clone(),
            "/api/users/me/addresses/" => {
                let made = owner
                    .send("POST", "/api/users/me/addresses", &address())
                    .json();
                // An account has some addresses and no more.
                if let Some(old) = owner.get("/api/users/me/addresses").json()["items"].get(10) {
                    let path = format!("/api/users/me/addresses/{}", old["id"].as_str().unwrap());
                    if old["id"] != made["id"] {
                        owner.act("DELETE", &path);
                    }
                }
                id(made)
            }
            "/api/sessions/" => {
                shop.log_in(&owner.email, &owner.password);
                let sessions = owner.get("/api/sessions").json();
                let other = sessions["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|it| it["current"] == false);
                id(other.unwrap().clone())
            }
            "/api/products/" | "/api/inventory/" | "/api/cart/items/" => {
                shop.product_with_stock(5, 100)
            }
            "/api/categories/" => unique("cat"),
            "/api/orders/" | "/api/ops/sagas/" => id(owner
                .order(&[(&shop.product_with_stock(1, 100), 1)], cards::GOOD)
                .json()),
            "/api/payments/" => {
                let order = owner.buy(&[(&shop.product_with_stock(1, 100), 1)]);
                id(owner.wait_for_payment(&order, "captured"))
            }
            "/api/notifications/" => {
                let order = owner.buy(&[(&shop.product_with_stock(1, 100), 1)]);
                id(owner.wait_for_notification(&order, "order_confirmed"))
            }
            "/api/notifications/deliveries/" => {
                let order = owner.buy(&[(&shop.product_with_stock(1, 100), 1)]);
                owner.wait_for_notification(&order, "order_confirmed");
                let deliveries = shop.admin("GET", "/api/notifications/deliveries?limit=1");
                id(Reply::to(deliveries).json()["items"][0].clone())
            }
            "/api/ops/subscriptions/" => "notifications".into(),
            "/api/ops/dead-letters/" => "notifications-1".into(),
            "/api/ops/traces/" => "0".repeat(32),
            _ => panic!("say in this file what {before} is about"),
        }
    }
}

/// The status of an answer, which may be a stream that does not end.
fn status(request: reqwest::blocking::RequestBuilder) -> u16 {
    request.send().unwrap().status().as_u16()
}

fn another_admin(shop: &Shop) -> String {
    let promoted = shop.customer();
    shop.admin_send(
        "PATCH",
        &format!("/api/users/{}", promoted.id),
        &json!({"role": "admin"}),
    );
    shop.log_in(&promoted.email, &promoted.password)
        .access_token
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Service tokens as somebody would make them who does not know the key, for an administrator.
fn service_tokens(path: &str) -> Vec<String> {
    let service = path.split('/').nth(2).unwrap_or_default();
    let claims = |audience: &str| {
        let admin = Some(Uuid::now_v7().to_string());
        souk_tokens::Claims::new("gateway", audience, now()).acting_as(admin, Some(Role::Admin))
    };
    vec![
        Key::new("").sign(&claims(service)),
        Key::new("guessed").sign(&claims("gateway")),
    ]
}

/// Access tokens that are not to be believed. Some are signed with the shop's own key, which is at hand where the test has
/// started the shop.
fn untrusted_tokens(shop: &Shop, owner: &Customer<'_>) -> Vec<(String, String)> {
    let admin: Uuid = owner.id.parse().unwrap();
    let claims = |made: u64| Claims::new(admin, Role::Admin, Uuid::now_v7(), Uuid::now_v7(), made);
    let mut tokens = vec![
        (
            "a key of one's own".to_owned(),
            SigningKey::new(&[7; 32]).sign(&claims(now())),
        ),
        ("rubbish".to_owned(), "rubbish".to_owned()),
    ];
    tokens.extend(changed(&owner.session.access_token));
    if let Some(key) = shop.host().map(signing_key) {
        let expired = key.sign(&claims(now() - LIFETIME - 60));
        let wrong = |change: fn(&mut Claims)| {
            let mut claims = claims(now());
            change(&mut claims);
            key.sign(&claims)
        };
        tokens.push(("an expired token".into(), expired));
        tokens.push((
            "a token for others".into(),
            wrong(|claims| claims.aud = "another-api".into()),
        ));
        tokens.push((
            "a token of others".into(),
            wrong(|claims| claims.iss = "another-shop".into()),
        ));
        tokens.push((
            "a token that lives too long".into(),
            wrong(|claims| claims.exp += 3600),
        ));
    }
    tokens
}

/// A customer's own token, made an administrator's.
fn changed(token: &str) -> Vec<(String, String)> {
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("{token}")
    };
    let with = |part: &str, name: &str, value: Value| {
        let mut part: Value = serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap();
        part[name] = value;
        BASE64.encode(part.to_string())
    };
    let admin = with(claims, "role", json!("admin"));
    let unsigned = with(header, "alg", json!("none"));
    vec![
        (
            "a changed token".into(),
            format!("{header}.{admin}.{signature}"),
        ),
        ("alg: none".into(), format!("{unsigned}.{admin}.")),
        (
            "alg: none, signed".into(),
            format!("{unsigned}.{claims}.{signature}"),
        ),
        (
            "a token without signature".into(),
            format!("{header}.{claims}."),
        ),
        (
            "a token of a service".into(),
            service_tokens("/api/users")[0].clone(),
        ),
    ]
}

/// The key that a shop signs access tokens with, out of its database.
fn signing_key(host: &Host) -> SigningKey {
    let file = find(&host.dir, "users.db").expect("the database of the service users");
    let users = rusqlite::Connection::open(file).unwrap();
    let query = "SELECT secret FROM signing_keys ORDER BY signs_from LIMIT 1";
    let secret: Vec<u8> = users.query_row(query, [], |row| row.get(0)).unwrap();
    SigningKey::new(&secret.try_into().unwrap())
}

fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = std::fs::read_dir(dir)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let here = entries
        .iter()
        .find(|path| path.file_name().is_some_and(|it| it == name))
        .cloned();
    here.or_else(|| entries.iter().find_map(|path| find(path, name)))
}

#[test]
fn the_key_that_was_found_is_the_right_one() {
    souk_tests::souk_only!();
    // Else the untrusted tokens that are signed with it would prove nothing.
    let shop = Shop::start();
    let customer = shop.customer();
    let user = customer.id.parse().unwrap();
    let claims = Claims::new(user, Role::Customer, Uuid::now_v7(), Uuid::now_v7(), now());
    let token = signing_key(shop.host().unwrap()).sign(&claims);
    assert_eq!(
        status(shop.request("GET", "/api/users/me").bearer_auth(token)),
        200
    );
}
