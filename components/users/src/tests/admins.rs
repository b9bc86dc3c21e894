use super::*;
use crate::settings::tests::set;
use souk_access::Role;

const ROOT: &str = "root@example.org";
const SECRET: &str = "let me administer";

fn set_admin() {
    set("admin_email", ROOT);
    set("admin_password", SECRET);
}

fn role_of(id: &str, role: &str) -> Answer {
    let path = format!("/api/users/{id}");
    ask()
        .admin()
        .json(json!({"role": role}))
        .send("PATCH", &path)
}

#[test]
fn the_first_administrator_is_made_at_the_first_login() {
    set_admin();
    assert_eq!(log_in_from(HOME, ROOT, "wrong horse").status, 401);
    assert_eq!(number("SELECT count(*) FROM users"), 0);

    let first = log_in_from(HOME, "Root@Example.org", SECRET);
    assert_eq!(first.status, 201);
    let again = log_in_from(HOME, ROOT, SECRET);
    let (first, again) = (claims(&first.body), claims(&again.body));
    assert_eq!((first.role, first.sub), (Role::Admin, again.sub));
    assert_eq!(number("SELECT count(*) FROM users"), 1);
}

#[test]
fn there_is_no_administrator_unless_both_are_set() {
    for (email, password) in [("", ""), (ROOT, ""), ("", SECRET), ("no address", SECRET)] {
        set("admin_email", email);
        set("admin_password", password);
        assert_eq!(
            log_in_from(HOME, ROOT, SECRET).status,
            401,
            "{email} {password}"
        );
    }
    assert_eq!(number("SELECT count(*) FROM users"), 0);
}

#[test]
fn nobody_registers_the_administrators_address() {
    set("admin_email", " Root@example.org ");
    assert_eq!(register_as(ROOT).status, 409);
    assert_eq!(register_as(EMAIL).status, 201);
}

#[test]
fn once_made_the_account_keeps_its_own_password() {
    set_admin();
    assert_eq!(log_in_from(HOME, ROOT, SECRET).status, 201);
    set("admin_password", "another secret");
    assert_eq!(log_in_from(HOME, ROOT, "another secret").status, 401);
    assert_eq!(log_in_from(HOME, ROOT, SECRET).status, 201);
}

#[test]
fn an_account_that_was_there_before_is_not_promoted() {
    register_as(ROOT);
    set_admin();
    assert_eq!(log_in_from(HOME, ROOT, SECRET).status, 401);
    let tokens = log_in_from(HOME, ROOT, PASSWORD).body;
    assert_eq!(claims(&tokens).role, Role::Customer);
}

#[test]
fn two_first_logins_at_once_make_one_account() {
    let email = crate::domain::parse_email(ROOT).unwrap();
    let insert = || {
        futures::executor::block_on(crate::store::users::insert_admin(&email, "hash"))
            .unwrap()
            .unwrap()
    };
    assert_eq!(insert().id, insert().id);
}

#[test]
fn a_new_role_ends_the_sessions() {
    let id = register();
    let tokens = log_in();
    assert_eq!(role_of(&id, "customer").status, 200);
    let tokens = refresh(&tokens["refresh_token"]);
    assert_eq!(tokens.status, 201, "the same role changes nothing");

    let changed = role_of(&id, "admin");
    assert_eq!(
        (changed.status, &changed.body["role"]),
        (200, &json!("admin"))
    );
    assert_eq!(refresh(&tokens.body["refresh_token"]).status, 401);
    assert_eq!(claims(&log_in()).role, Role::Admin);
}

#[test]
fn administrators_do_not_demote_themselves() {
    let id = register();
    role_of(&id, "admin");
    let path = format!("/api/users/{id}");
    let demote = |by: &str| {
        ask()
            .user_role(by, Role::Admin)
            .json(json!({"role": "customer"}))
            .send("PATCH", &path)
    };
    assert_eq!(demote(&id).status, 409);
    assert_eq!(demote(&id.to_uppercase()).status, 409);
    let another = text(&register_as("bob@example.org").body["id"]);
    role_of(&another, "admin");
    assert_eq!(demote(&another).status, 200);
}

#[test]
fn who_was_an_administrator_has_no_say_any_more() {
    let (id, other) = (register(), text(&register_as("bob@example.org").body["id"]));
    role_of(&id, "admin");
    role_of(&id, "customer");
    let with_the_old_token = |by: &str, method: &str, path: &str| {
        let ask = ask().user_role(by, Role::Admin);
        let ask = match method {
            "PATCH" => ask.json(json!({"role": "admin"})),
            _ => ask,
        };
        ask.send(method, path).status
    };
    for (method, path) in [
        ("PATCH", format!("/api/users/{id}")),
        ("PATCH", format!("/api/users/{other}")),
        ("GET", format!("/api/users/{other}")),
        ("GET", "/api/users".into()),
    ] {
        assert_eq!(
            with_the_old_token(&id, method, &path),
            403,
            "{method} {path}"
        );
    }
    ask().user(&id).send("DELETE", "/api/users/me");
    assert_eq!(with_the_old_token(&id, "GET", "/api/users"), 401);
    assert_eq!(
        with_the_old_token(&id, "PATCH", &format!("/api/users/{other}")),
        401
    );
    assert_eq!(number("SELECT count(*) FROM users WHERE role = 'admin'"), 0);
}

#[test]
fn an_administrators_account_is_not_deleted() {
    let id = register();
    role_of(&id, "admin");
    let delete = || {
        ask()
            .user_role(&id, Role::Admin)
            .send("DELETE", "/api/users/me")
    };
    assert_eq!(delete().status, 409);
    role_of(&id, "customer");
    assert_eq!(delete().status, 204);
}

#[test]
fn accounts_are_listed_and_found_by_their_address() {
    for email in ["ada@example.org", "adam@example.org", "bob@example.org"] {
        register_as(email);
    }
    let gone = text(&register_as("adrian@example.org").body["id"]);
    ask().user(&gone).send("DELETE", "/api/users/me");
    let list = |query: &str| {
        let answer = ask().admin().send("GET", &format!("/api/users?{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text);
        let items = answer.body["items"].as_array().unwrap();
        let emails: Vec<_> = items.iter().map(|item| text(&item["email"])).collect();
        (
            emails,
            answer.body["next_cursor"].as_str().map(ToOwned::to_owned),
        )
    };
    assert_eq!(
        list("").0,
        ["bob@example.org", "adam@example.org", "ada@example.org"]
    );
    assert_eq!(list("q=AD").0, ["adam@example.org", "ada@example.org"]);
    assert_eq!(list("q=ada@").0, ["ada@example.org"]);
    assert_eq!(list("q=%25").0, Vec::<String>::new());
    let (first, cursor) = list("q=a&limit=1");
    assert_eq!(first, ["adam@example.org"]);
    let (second, cursor) = list(&format!("q=a&limit=1&cursor={}", cursor.unwrap()));
    assert_eq!((second, cursor), (vec!["ada@example.org".to_owned()], None));
    let (_, cursor) = list("limit=2");
    assert_eq!(
        list(&format!("limit=2&cursor={}", cursor.unwrap())).0,
        ["ada@example.org"]
    );
}

#[test]
fn accounts_of_others_are_for_administrators() {
    let id = register();
    let path = format!("/api/users/{id}");
    assert_eq!(ask().admin().send("GET", &path).body["email"], EMAIL);
    let nowhere = "/api/users/01980000-0000-7000-8000-000000000000";
    assert_eq!(ask().admin().send("GET", nowhere).status, 404);
    assert_eq!(
        role_of("01980000-0000-7000-8000-000000000000", "admin").status,
        404
    );
    assert_eq!(role_of(&id, "root").status, 422);
    for (ask, status) in [
        (ask as fn() -> Ask, 401),
        (|| ask().user("01980000-0000-7000-8000-000000000001"), 403),
    ] {
        assert_eq!(ask().send("GET", "/api/users").status, status);
        assert_eq!(ask().send("GET", &path).status, status);
        assert_eq!(
            ask()
                .json(json!({"role": "admin"}))
                .send("PATCH", &path)
                .status,
            status
        );
    }
}
