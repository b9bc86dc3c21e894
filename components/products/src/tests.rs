//! The service as its callers see it, on a real SQLite.
#![allow(clippy::unwrap_used)]

mod events;

use http::header;
use serde_json::{Value, json};
use souk_contracts::{Answer, Ask};
use souk_tokens::Role;

use crate::SERVICE;

fn ask(
    role: Option<Role>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Answer {
    let mut ask = Ask::of(&SERVICE);
    if role.is_some() {
        ask = ask.by(Some("gateway"), None, role);
    }
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    if let Some(body) = body {
        ask = ask.json(body);
    }
    ask.send(method, path)
}

fn get(path: &str) -> Answer {
    ask(None, "GET", path, &[], None)
}

fn admin(method: &str, path: &str, body: Value) -> Answer {
    ask(Some(Role::Admin), method, path, &[], Some(body))
}

fn chair() -> Value {
    json!({
        "sku": "CHAIR-1", "name": "Oak chair", "description": "Four legs.", "category": "home",
        "price": {"amount": 4900, "currency": "EUR"}, "image_url": "/pictures/chair.svg", "attributes": {"colour": "brown"},
    })
}

fn with(mut body: Value, changes: Value) -> Value {
    body.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    body
}

/// Lists a product and returns its path.
fn list_product(body: Value) -> String {
    admin(
        "PUT",
        "/api/categories/home",
        json!({"name": "Home & Kitchen"}),
    );
    let answer = admin("POST", "/api/products", body);
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.headers[header::LOCATION]
        .to_str()
        .unwrap()
        .to_owned()
}

fn skus(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["sku"].as_str().unwrap())
        .collect()
}

#[test]
fn a_product_is_listed_and_read() {
    let path = list_product(chair());
    let answer = get(&path);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers[header::ETAG], "\"1\"");
    for (field, value) in chair().as_object().unwrap() {
        assert_eq!(&answer.body[field], value, "{field}");
    }
    assert_eq!(answer.body["version"], 1);
    assert!(answer.body["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        path,
        format!("/api/products/{}", answer.body["id"].as_str().unwrap())
    );
}

#[test]
fn a_product_that_has_not_changed_is_not_sent_again() {
    let path = list_product(chair());
    let status = |tags| ask(None, "GET", &path, &[("if-none-match", tags)], None).status;
    assert_eq!(status("\"1\""), 304);
    assert_eq!(status("\"9\", W/\"1\""), 304);
    assert_eq!(status("*"), 304);
    assert_eq!(status("\"2\""), 200);
    assert_eq!(status("rubbish"), 200);
    assert_eq!(ask(None, "HEAD", &path, &[], None).status, 200);
}

#[test]
fn a_sku_is_there_once() {
    let path = list_product(chair());
    let again = admin(
        "POST",
        "/api/products",
        with(chair(), json!({"sku": "chair-1"})),
    );
    assert_eq!(again.status, 409);
    assert_eq!(
        path,
        format!(
            "/api/products/{}",
            again.body["product_id"].as_str().unwrap()
        )
    );

    list_product(with(chair(), json!({"sku": "CHAIR-2"})));
    assert_eq!(admin("PATCH", &path, json!({"sku": "CHAIR-2"})).status, 409);

    assert_eq!(
        ask(Some(Role::Admin), "DELETE", &path, &[], None).status,
        204
    );
    list_product(chair());
}

#[test]
fn a_category_must_be_there() {
    let answer = admin("POST", "/api/products", chair());
    assert_eq!(answer.status, 422);
    assert_eq!(answer.body["errors"][0]["field"], "category");
    let path = list_product(chair());
    assert_eq!(
        admin("PATCH", &path, json!({"category": "garden"})).status,
        422
    );
}

#[test]
fn a_change_changes_what_it_says() {
    let path = list_product(chair());
    let answer = admin(
        "PATCH",
        &path,
        json!({"name": "Ash chair", "image_url": null}),
    );
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers[header::ETAG], "\"2\"");
    let expected = with(chair(), json!({"name": "Ash chair", "image_url": null}));
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&answer.body[field], value, "{field}");
    }
    assert_eq!(get(&path).body, answer.body);
    assert_eq!(
        admin("PATCH", &path, json!({"price": {"amount": 1}})).body["errors"][0]["field"],
        "price.currency"
    );
}

#[test]
fn a_stale_change_is_refused() {
    let path = list_product(chair());
    let change = |tag| {
        ask(
            Some(Role::Admin),
            "PATCH",
            &path,
            &[("if-match", tag)],
            Some(json!({"name": "B"})),
        )
        .status
    };
    assert_eq!(change("\"1\""), 200);
    assert_eq!(change("\"1\""), 412);
    assert_eq!(change("W/\"2\""), 412);
    assert_eq!(change("\"7\", \"2\""), 200);
    assert_eq!(change("*"), 200);
    let delete = |tag| {
        ask(
            Some(Role::Admin),
            "DELETE",
            &path,
            &[("if-match", tag)],
            None,
        )
        .status
    };
    assert_eq!(delete("\"1\""), 412);
    assert_eq!(delete("\"4\""), 204);
    assert_eq!(delete("\"5\""), 404);
}

#[test]
fn a_deleted_product_is_gone() {
    let path = list_product(chair());
    let delete = || ask(Some(Role::Admin), "DELETE", &path, &[], None).status;
    assert_eq!(delete(), 204);
    assert_eq!(delete(), 404);
    assert_eq!(get(&path).status, 404);
    assert_eq!(admin("PATCH", &path, json!({"name": "x"})).status, 404);
    assert!(skus(&get("/api/products")).is_empty());
    assert!(skus(&get("/api/products?q=chair")).is_empty());
}

#[test]
fn only_administrators_write() {
    let path = list_product(chair());
    for (method, path) in [
        ("POST", "/api/products"),
        ("PATCH", path.as_str()),
        ("DELETE", path.as_str()),
        ("PUT", "/api/categories/home"),
        ("GET", &format!("{path}/price-history")),
    ] {
        assert_eq!(
            ask(None, method, path, &[], Some(chair())).status,
            401,
            "{method} {path}"
        );
        assert_eq!(
            ask(Some(Role::Customer), method, path, &[], Some(chair())).status,
            403,
            "{method} {path}"
        );
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    for path in [
        "/api/products/x",
        "/api/products/018f0000-0000-7000-8000-000000000000",
        "/api/nothing",
    ] {
        assert_eq!(get(path).status, 404, "{path}");
        assert_eq!(
            get(path).headers[header::CONTENT_TYPE],
            "application/problem+json"
        );
    }
}

#[test]
fn prices_are_remembered() {
    let path = list_product(chair());
    admin(
        "PATCH",
        &path,
        json!({"price": {"amount": 4500, "currency": "EUR"}}),
    );
    admin("PATCH", &path, json!({"name": "Same price"}));
    admin(
        "PATCH",
        &path,
        json!({"price": {"amount": 4500, "currency": "EUR"}}),
    );
    admin(
        "PATCH",
        &path,
        json!({"price": {"amount": 4500, "currency": "USD"}}),
    );

    let history = |query: &str| {
        ask(
            Some(Role::Admin),
            "GET",
            &format!("{path}/price-history{query}"),
            &[],
            None,
        )
        .body
    };
    let all = history("");
    let prices: Vec<_> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|past| (&past["price"]["amount"], &past["version"]))
        .collect();
    assert_eq!(
        prices,
        [
            (&json!(4500), &json!(5)),
            (&json!(4500), &json!(2)),
            (&json!(4900), &json!(1))
        ]
    );

    let first = history("?limit=2");
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let rest = history(&format!(
        "?limit=2&cursor={}",
        first["next_cursor"].as_str().unwrap()
    ));
    assert_eq!(rest["items"], json!([all["items"][2]]));
    assert_eq!(rest["next_cursor"], Value::Null);
}

#[test]
fn categories_are_made_changed_and_counted() {
    let put = |name| {
        admin(
            "PUT",
            "/api/categories/garden",
            json!({"name": name, "position": 2}),
        )
    };
    assert_eq!(put("Garden").status, 201);
    assert_eq!(put("In the garden").status, 200);
    assert_eq!(
        admin("PUT", "/api/categories/A%20B", json!({"name": "x"})).status,
        422
    );
    assert_eq!(
        admin("PUT", "/api/categories/x", json!({"position": -1})).body["errors"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    list_product(chair());
    assert_eq!(
        get("/api/categories").body,
        json!({"items": [
            {"slug": "home", "name": "Home & Kitchen", "position": 0, "product_count": 1},
            {"slug": "garden", "name": "In the garden", "position": 2, "product_count": 0},
        ], "next_cursor": null})
    );
}

/// A catalogue in which every order is another.
fn catalogue() {
    for (sku, name, price) in [
        ("A", "walnut desk", 300),
        ("B", "Oak chair", 100),
        ("C", "oak table", 300),
        ("D", "Lamp", 200),
    ] {
        let description = if sku == "A" {
            "Goes well with an oak chair."
        } else {
            ""
        };
        let price = json!({"amount": price, "currency": "EUR"});
        list_product(with(
            chair(),
            json!({"sku": sku, "name": name, "description": description, "price": price}),
        ));
    }
}

#[test]
fn lists_are_sorted_and_filtered() {
    catalogue();
    let list = |query: &str| skus(&get(&format!("/api/products?{query}"))).concat();
    assert_eq!(list(""), "DCBA");
    assert_eq!(list("sort=price_asc"), "BDAC");
    assert_eq!(list("sort=price_desc"), "CADB");
    assert_eq!(list("sort=name"), "DBCA");
    assert_eq!(list("min_price=200&sort=name"), "DCA");
    assert_eq!(list("max_price=200"), "DB");
    assert_eq!(list("min_price=150&max_price=250"), "D");
    assert_eq!(list("category=home&limit=2"), "DC");
    assert_eq!(list("category=elsewhere"), "");
}

#[test]
fn products_are_read_by_their_ids() {
    catalogue();
    let all = get("/api/products").body;
    let id = |index: usize| all["items"][index]["id"].as_str().unwrap();
    let query = |ids: &str| format!("/api/products?ids={ids}");
    let unknown = uuid::Uuid::nil();
    let some = get(&query(&format!("{},{unknown},{}", id(0), id(2))));
    assert_eq!(skus(&some).concat(), "DB");
    assert_eq!(get(&query("x")).status, 400);
    assert_eq!(get(&query(&vec![id(0); 101].join(","))).status, 400);
}

#[test]
fn every_list_is_read_page_by_page() {
    catalogue();
    for query in [
        "",
        "sort=price_asc",
        "sort=price_desc",
        "sort=name",
        "q=o",
        "q=oak&sort=name",
        "category=home",
        "min_price=100&sort=price_asc",
    ] {
        let whole = skus(&get(&format!("/api/products?{query}"))).concat();
        let (mut pages, mut cursor) = (String::new(), String::new());
        loop {
            let page = get(&format!("/api/products?{query}&limit=1{cursor}"));
            pages += &skus(&page).concat();
            let Some(next) = page.body["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(pages, whole, "{query}");
        assert!(whole.len() > 1, "{query}");
    }
}

#[test]
fn a_search_ranks_names_before_descriptions_and_matches_beginnings() {
    catalogue();
    let search = |q: &str| skus(&get(&format!("/api/products?q={q}"))).concat();
    assert_eq!(search("oak%20chair"), "BA");
    assert_eq!(search("ch"), "BA");
    assert_eq!(search("CHAIRS"), "BA", "word stems");
    assert_eq!(search("l%C3%A1mp"), "D", "accents");
    assert_eq!(search("kitchen%20lam"), "D", "the category's name counts");
    assert_eq!(search("sofa"), "");
    assert_eq!(
        search("%22%20OR%20name:*%20NEAR("),
        "",
        "nothing typed is syntax"
    );
    assert_eq!(search("!!!"), "");
}

#[test]
fn the_search_follows_changes() {
    let path = list_product(chair());
    admin("PATCH", &path, json!({"name": "Stool"}));
    admin("PUT", "/api/categories/home", json!({"name": "Living"}));
    let search = |q: &str| skus(&get(&format!("/api/products?q={q}"))).len();
    assert_eq!(
        (
            search("oak"),
            search("stool"),
            search("kitchen"),
            search("living")
        ),
        (0, 1, 0, 1)
    );
}

#[test]
fn bad_parameters_are_named() {
    let answer = get("/api/products?limit=0&sort=best&cursor=x");
    assert_eq!(answer.status, 400);
    let fields = answer.bad_fields();
    assert_eq!(fields, ["sort", "limit", "cursor"]);
}

#[test]
fn consumers_get_what_they_need() {
    souk_contracts::replay(&SERVICE, |given| match given {
        "a product" => {
            let path = list_product(chair());
            let id = path.rsplit('/').next().unwrap_or_default().to_owned();
            [("product_id".to_owned(), id)].into()
        }
        unknown => panic!("nobody can set up {unknown:?}"),
    });
}
