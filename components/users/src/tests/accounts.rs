use super::*;

#[test]
fn an_account_is_opened_and_seen() {
    let answer = register_as(" Ada@Example.ORG ");
    assert_eq!(answer.status, 201);
    assert_eq!(answer.body["email"], EMAIL);
    assert_eq!(
        (&answer.body["name"], &answer.body["role"]),
        (&json!("Ada"), &json!("customer"))
    );
    let id = text(&answer.body["id"]);
    assert_eq!(answer.headers["location"], format!("/api/users/{id}"));
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!answer.text.contains("argon2"));

    let me = ask().user(&id).send("GET", "/api/users/me");
    assert_eq!((me.status, &me.body), (200, &answer.body));
    assert_eq!(ask().send("GET", "/api/users/me").status, 401);
}

#[test]
fn an_address_has_one_account() {
    register();
    assert_eq!(register_as("ADA@example.org").status, 409);
    assert_eq!(number("SELECT count(*) FROM users"), 1);
}

#[test]
fn every_bad_field_is_named() {
    let bad = json!({"email": "ada", "password": "short", "name": "", "role": "admin"});
    let answer = ask().json(bad).send("POST", "/api/users");
    assert_eq!(answer.status, 422);
    let fields = answer.bad_fields();
    assert_eq!(fields, ["email", "password", "name", "role"]);

    for password in ["password123", "Ada@example.org", "1234567890"] {
        let body = json!({"email": EMAIL, "password": password, "name": "Ada"});
        let answer = ask().json(body).send("POST", "/api/users");
        assert_eq!(
            (answer.status, &answer.body["errors"][0]["field"]),
            (422, &json!("password"))
        );
        assert!(!answer.text.contains(password), "a secret is not repeated");
    }
}

#[test]
fn a_name_is_changed() {
    let id = register();
    let answer = ask()
        .user(&id)
        .json(json!({"name": " Ada King "}))
        .send("PATCH", "/api/users/me");
    assert_eq!(
        (answer.status, &answer.body["name"]),
        (200, &json!("Ada King"))
    );
    let answer = ask()
        .user(&id)
        .json(json!({}))
        .send("PATCH", "/api/users/me");
    assert_eq!(
        (answer.status, &answer.body["name"]),
        (200, &json!("Ada King"))
    );
    for change in [
        json!({"name": ""}),
        json!({"email": "b@example.org"}),
        json!({"role": "admin"}),
    ] {
        assert_eq!(
            ask()
                .user(&id)
                .json(change)
                .send("PATCH", "/api/users/me")
                .status,
            422
        );
    }
}

#[test]
fn a_new_password_ends_all_other_sessions() {
    register();
    let (here, elsewhere) = (log_in(), log_in());
    let change = |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        with(&here)
            .json(body)
            .send("POST", "/api/users/me/password")
    };
    let wrong = change("wrong horse", "battery staple");
    assert_eq!(
        (wrong.status, &wrong.body["errors"][0]["field"]),
        (422, &json!("current_password"))
    );
    for guessable in ["short", "password123", EMAIL] {
        let answer = change(PASSWORD, guessable);
        assert_eq!(
            (answer.status, &answer.body["errors"][0]["field"]),
            (422, &json!("new_password"))
        );
    }
    assert_eq!(change(PASSWORD, "battery staple").status, 204);

    assert_eq!(refresh(&elsewhere["refresh_token"]).status, 401);
    assert_eq!(refresh(&here["refresh_token"]).status, 201);
    assert_eq!(log_in_from(HOME, EMAIL, PASSWORD).status, 401);
    assert_eq!(log_in_from(HOME, EMAIL, "battery staple").status, 201);
}

#[test]
fn a_login_with_a_password_that_is_being_changed_begins_no_session() {
    register();
    let email = crate::domain::parse_email(EMAIL).unwrap();
    let account = futures::executor::block_on(crate::store::users::find_account(&email, None))
        .unwrap()
        .unwrap();
    run("UPDATE users SET password_version = password_version + 1").unwrap();
    let begun = futures::executor::block_on(crate::store::sessions::begin(
        &account,
        &crate::domain::RefreshToken::first().unwrap(),
        None,
    ))
    .unwrap();
    assert!(begun.is_none());
}

#[test]
fn a_deleted_account_leaves_a_bare_tombstone() {
    let id = register();
    let tokens = log_in();
    log_in_from(HOME, EMAIL, "wrong horse");
    with(&tokens)
        .json(addresses::somewhere())
        .send("POST", "/api/users/me/addresses");
    assert!(everything().contains(EMAIL) && everything().contains("Baker Street"));

    assert_eq!(with(&tokens).send("DELETE", "/api/users/me").status, 204);
    let kept = everything();
    for personal in [EMAIL, "Ada", "Baker Street", "argon2", HOME] {
        assert!(!kept.contains(personal), "{personal}");
    }
    assert_eq!(
        number(&format!(
            "SELECT count(*) FROM users WHERE id = '{id}' AND deleted_at IS NOT NULL"
        )),
        1
    );
    for table in ["sessions", "spent_tokens", "known_clients", "addresses"] {
        assert_eq!(
            number(&format!("SELECT count(*) FROM {table}")),
            0,
            "{table}"
        );
    }

    assert_eq!(refresh(&tokens["refresh_token"]).status, 401);
    assert_eq!(log_in_from("192.0.2.9", EMAIL, PASSWORD).status, 401);
    for (method, path) in [
        ("GET", "/api/users/me"),
        ("DELETE", "/api/users/me"),
        ("GET", "/api/users/me/export"),
    ] {
        assert_eq!(
            with(&tokens).send(method, path).status,
            401,
            "{method} {path}"
        );
    }
    let late = with(&tokens)
        .json(addresses::somewhere())
        .send("POST", "/api/users/me/addresses");
    assert_eq!(late.status, 401);
    assert_eq!(
        ask()
            .admin()
            .send("GET", &format!("/api/users/{id}"))
            .status,
        404
    );

    let again = register_as(EMAIL);
    assert_eq!(again.status, 201, "the address is free");
    assert_ne!(text(&again.body["id"]), id);
}

#[test]
fn the_database_itself_keeps_tombstones_bare() {
    let id = register();
    let refused = |sql: &str, by: &str| {
        let error = run(sql).unwrap_err();
        assert!(error.violates(by), "{sql}: {error}");
    };
    refused("DELETE FROM users", "users_stay");
    refused("UPDATE users SET email = NULL", "account_is_whole");
    refused(
        "UPDATE users SET deleted_at = '2026-01-01T00:00:00.000Z'",
        "tombstone_is_bare",
    );
    refused("UPDATE users SET role = 'root'", "role_is_known");
    refused(
        "UPDATE users SET email = 'Ada@example.org'",
        "email_is_lower_case",
    );
    ask().user(&id).send("DELETE", "/api/users/me");
    refused(
        "UPDATE users SET deleted_at = NULL, email = 'a@b.co', name = 'x', password_hash = 'y'",
        "tombstones_stay",
    );
}

#[test]
fn an_export_has_everything_but_secrets() {
    let id = register();
    let tokens = log_in();
    with(&tokens)
        .json(addresses::somewhere())
        .send("POST", "/api/users/me/addresses");
    let export = with(&tokens).send("GET", "/api/users/me/export");
    assert_eq!(export.status, 200);
    assert_eq!(export.body["user"]["id"], id);
    assert_eq!(export.body["addresses"][0]["line1"], "221b Baker Street");
    assert_eq!(export.body["sessions"][0]["current"], true);
    assert_eq!(export.body["known_clients"].as_array().unwrap().len(), 1);
    assert!(
        !export.text.contains("argon2") && !export.text.contains(&text(&tokens["refresh_token"]))
    );
    assert!(
        export.headers["content-disposition"]
            .to_str()
            .unwrap()
            .starts_with("attachment")
    );
}
