use super::*;

pub fn somewhere() -> Value {
    json!({"name": "Ada Lovelace", "line1": "221b Baker Street", "city": "London", "postal_code": "NW1 6XE", "country": "GB"})
}

fn add(user: &str, body: Value) -> Answer {
    ask()
        .user(user)
        .json(body)
        .send("POST", "/api/users/me/addresses")
}

/// The ids of a user's addresses, and which of them are the default.
fn list(user: &str) -> Vec<(String, bool)> {
    let answer = ask().user(user).send("GET", "/api/users/me/addresses");
    assert_eq!(answer.status, 200);
    let items = answer.body["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| (text(&item["id"]), item["default"].as_bool().unwrap()))
        .collect()
}

fn changed(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

#[test]
fn an_address_is_kept_changed_and_deleted() {
    let user = register();
    let made = add(
        &user,
        changed(somewhere(), "phone", json!("+44 20 7946 0000")),
    );
    assert_eq!(made.status, 201);
    assert_eq!(made.body["default"], true, "the first one");
    assert_eq!(
        (&made.body["line2"], &made.body["phone"]),
        (&Value::Null, &json!("+44 20 7946 0000"))
    );
    let path = made.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(ask().user(&user).send("GET", &path).body, made.body);

    let body = changed(somewhere(), "line2", json!("2nd floor"));
    let replaced = ask().user(&user).json(body).send("PUT", &path);
    assert_eq!(
        (
            replaced.status,
            &replaced.body["line2"],
            &replaced.body["phone"]
        ),
        (200, &json!("2nd floor"), &Value::Null)
    );
    assert_eq!(
        replaced.body["default"], true,
        "until another takes its place"
    );

    assert_eq!(ask().user(&user).send("DELETE", &path).status, 204);
    assert_eq!(ask().user(&user).send("DELETE", &path).status, 404);
    assert_eq!(ask().user(&user).send("GET", &path).status, 404);
}

#[test]
fn bad_fields_are_named() {
    let user = register();
    let answer = add(
        &user,
        json!({"name": "", "country": "Atlantis", "phone": "call me", "default": "yes"}),
    );
    assert_eq!(answer.status, 422);
    let fields = answer.bad_fields();
    assert_eq!(
        fields,
        [
            "name",
            "line1",
            "city",
            "postal_code",
            "country",
            "phone",
            "default"
        ]
    );
}

#[test]
fn one_address_is_the_default() {
    let user = register();
    let make = |default: bool| {
        text(&add(&user, changed(somewhere(), "default", json!(default))).body["id"])
    };
    let (first, second, third) = (make(false), make(true), make(false));
    assert_eq!(
        list(&user),
        [
            (first.clone(), false),
            (second.clone(), true),
            (third.clone(), false)
        ]
    );

    let path = format!("/api/users/me/addresses/{third}");
    ask()
        .user(&user)
        .json(changed(somewhere(), "default", json!(true)))
        .send("PUT", &path);
    assert_eq!(
        list(&user),
        [
            (first.clone(), false),
            (second.clone(), false),
            (third, true)
        ]
    );

    ask().user(&user).send("DELETE", &path);
    assert_eq!(
        list(&user),
        [(first, true), (second, false)],
        "the oldest takes its place"
    );
}

#[test]
fn nobody_has_more_than_twenty() {
    let user = register();
    for _ in 0..20 {
        assert_eq!(add(&user, somewhere()).status, 201);
    }
    assert_eq!(
        add(&user, changed(somewhere(), "default", json!(true))).status,
        409
    );
    assert_eq!(list(&user).len(), 20);
    assert!(list(&user)[0].1, "what was refused has changed nothing");
}

#[test]
fn addresses_of_others_are_not_there() {
    let user = register();
    let other = text(&register_as("bob@example.org").body["id"]);
    let made = add(&user, somewhere());
    let path = made.headers["location"].to_str().unwrap();
    assert_eq!(ask().user(&other).send("GET", path).status, 404);
    assert_eq!(ask().user(&other).send("DELETE", path).status, 404);
    assert_eq!(
        ask()
            .user(&other)
            .json(somewhere())
            .send("PUT", path)
            .status,
        404
    );
    assert_eq!(ask().send("GET", path).status, 401);
    assert_eq!(list(&other), []);
    assert_eq!(list(&user).len(), 1);
}
