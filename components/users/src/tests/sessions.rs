use super::*;
use futures::executor::block_on;
use souk_access::{Invalid, LIFETIME, Role};

#[test]
fn a_login_gives_tokens() {
    let id = register();
    let answer = log_in_from(HOME, " ADA@example.org ", PASSWORD);
    assert_eq!(answer.status, 201);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(
        (&answer.body["token_type"], &answer.body["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    let claims = claims(&answer.body);
    assert_eq!((claims.sub.to_string(), claims.role), (id, Role::Customer));
    assert_eq!(claims.exp - claims.iat, LIFETIME);
    assert_eq!(text(&answer.body["refresh_token"]).len(), 43, "256 bits");
    assert!(
        !everything().contains(&text(&answer.body["refresh_token"])),
        "only the hash is kept"
    );
}

#[test]
fn wrong_password_and_unknown_account_are_told_alike() {
    register();
    let wrong = log_in_from(HOME, EMAIL, "wrong horse");
    let mut unknown = [
        log_in_from(HOME, "bob@example.org", PASSWORD),
        log_in_from(HOME, "no address", PASSWORD),
    ];
    assert_eq!(wrong.status, 401);
    for unknown in &mut unknown {
        unknown.body["request_id"] = wrong.body["request_id"].clone();
        assert_eq!((unknown.status, &unknown.body), (401, &wrong.body));
    }
}

#[test]
fn a_login_is_the_same_work_whatever_is_wrong_with_it() {
    register();
    crate::settings::tests::set("admin_email", "root@example.org");
    crate::settings::tests::set("admin_password", "let me administer");
    for (email, password) in [
        (EMAIL, PASSWORD),
        (EMAIL, "wrong horse"),
        ("bob@example.org", PASSWORD),
        ("no address", PASSWORD),
        ("root@example.org", "wrong horse"),
        ("root@example.org", "let me administer"),
    ] {
        let before = crate::passwords::tests::COUNT.get();
        log_in_from(HOME, email, password);
        assert_eq!(
            crate::passwords::tests::COUNT.get() - before,
            1,
            "{email} {password}"
        );
    }
}

#[test]
fn a_refresh_rotates_the_token() {
    register();
    let tokens = log_in();
    let answer = refresh(&tokens["refresh_token"]);
    assert_eq!(answer.status, 201);
    assert_ne!(answer.body["refresh_token"], tokens["refresh_token"]);
    let (before, after) = (claims(&tokens), claims(&answer.body));
    assert_eq!(
        (before.sub, before.sid),
        (after.sub, after.sid),
        "it is the same session"
    );
    assert_ne!(before.jti, after.jti);
    assert_eq!(refresh(&answer.body["refresh_token"]).status, 201);
}

#[test]
fn a_spent_token_ends_its_session_and_no_other() {
    register();
    let (stolen, other) = (log_in(), log_in());
    let second = refresh(&stolen["refresh_token"]).body;
    let third = refresh(&second["refresh_token"]).body;

    assert_eq!(refresh(&stolen["refresh_token"]).status, 401);
    assert_eq!(
        refresh(&third["refresh_token"]).status,
        401,
        "the newest one too"
    );
    assert_eq!(refresh(&other["refresh_token"]).status, 201);
}

#[test]
fn of_two_who_have_a_token_one_gets_the_next() {
    register();
    let hash = "a".repeat(43);
    let tokens = log_in();
    let session = claims(&tokens).sid;
    run(&format!(
        "UPDATE sessions SET token = '{hash}' WHERE id = '{session}'"
    ))
    .unwrap();

    // The statement that decides, as two requests would run it, whichever is first.
    let (first, second) = ("b".repeat(43), "c".repeat(43));
    assert!(
        block_on(crate::store::sessions::rotate(&hash, &first))
            .unwrap()
            .is_some()
    );
    assert!(
        block_on(crate::store::sessions::rotate(&hash, &second))
            .unwrap()
            .is_none()
    );
    assert_eq!(
        number(&format!(
            "SELECT count(*) FROM sessions WHERE token = '{first}'"
        )),
        1
    );
}

#[test]
fn rubbish_refreshes_nothing() {
    register();
    log_in();
    assert_eq!(refresh(&json!("rubbish")).status, 401);
    assert_eq!(refresh(&json!("")).status, 422);
    assert_eq!(number("SELECT count(*) FROM sessions"), 1);
}

#[test]
fn a_refresh_token_is_good_for_thirty_days_from_the_last_refresh() {
    register();
    let tokens = log_in();
    let left =
        "SELECT CAST(round(julianday(expires_at) - julianday('now')) AS INTEGER) FROM sessions";
    assert_eq!(number(left), 30);
    run("UPDATE sessions SET expires_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 minute')")
        .unwrap();
    let next = refresh(&tokens["refresh_token"]);
    assert_eq!(next.status, 201);
    assert_eq!(number(left), 30);
    run("UPDATE sessions SET expires_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 second')")
        .unwrap();
    assert_eq!(refresh(&next.body["refresh_token"]).status, 401);
}

#[test]
fn a_logout_ends_the_session_that_it_is_made_in() {
    register();
    let (tokens, other) = (log_in(), log_in());
    assert_eq!(
        with(&tokens).send("DELETE", "/api/sessions/current").status,
        204
    );
    assert_eq!(refresh(&tokens["refresh_token"]).status, 401);
    assert_eq!(refresh(&other["refresh_token"]).status, 201);
    assert_eq!(
        with(&tokens).send("DELETE", "/api/sessions/current").status,
        204,
        "that is what was asked for"
    );
}

#[test]
fn only_the_gateway_is_believed_which_session_it_is() {
    let id = register();
    let session = claims(&log_in()).sid.to_string();
    for service in [None, Some("orders")] {
        let ask = ask().by(service, Some(&id), Some(Role::Customer));
        let answer = ask
            .header("x-souk-session", &session)
            .send("DELETE", "/api/sessions/current");
        assert_eq!(answer.status, 401, "{service:?}");
    }
    assert_eq!(
        ask()
            .user(&id)
            .send("DELETE", "/api/sessions/current")
            .status,
        401,
        "it does not say"
    );
    assert_eq!(number("SELECT count(*) FROM sessions"), 1);
}

#[test]
fn sessions_are_listed_and_ended_by_their_owner() {
    register();
    let bob = text(&register_as("bob@example.org").body["id"]);
    let (here, elsewhere) = (log_in(), log_in());
    let list = with(&here).send("GET", "/api/sessions").body;
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    let current: Vec<_> = items
        .iter()
        .filter(|item| item["current"] == true)
        .collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["id"], claims(&here).sid.to_string());

    let path = format!("/api/sessions/{}", claims(&elsewhere).sid);
    assert_eq!(ask().send("DELETE", &path).status, 401);
    assert_eq!(ask().user(&bob).send("DELETE", &path).status, 404);
    assert_eq!(with(&here).send("DELETE", &path).status, 204);
    assert_eq!(with(&here).send("DELETE", &path).status, 404);
    assert_eq!(refresh(&elsewhere["refresh_token"]).status, 401);
}

#[test]
fn nobody_has_more_than_fifty_sessions() {
    register();
    let first = log_in();
    let user = claims(&first).sub;
    for n in 0..50 {
        run(&format!(
            "INSERT INTO sessions (id, user_id, token, expires_at) \
            VALUES ('s{n}', '{user}', printf('%043d', {n}), '9999-12-31T00:00:00.000Z')"
        ))
        .unwrap();
    }
    assert_eq!(number("SELECT count(*) FROM sessions"), 50);
    assert_eq!(
        refresh(&first["refresh_token"]).status,
        401,
        "the one that was not used for longest"
    );
}

#[test]
fn a_hash_of_other_parameters_is_made_anew_at_login() {
    register();
    // Made of the same password with two passes instead of one.
    let made = "$argon2id$v=19$m=8,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$";
    let hash = reference_hash(made);
    run(&format!("UPDATE users SET password_hash = '{hash}'")).unwrap();
    let session = log_in();
    assert_eq!(
        number("SELECT count(*) FROM users WHERE password_hash LIKE '%t=1,%'"),
        1
    );
    assert_eq!(
        number("SELECT password_version FROM users"),
        1,
        "it is the same password"
    );
    log_in();
    assert_eq!(
        refresh(&session["refresh_token"]).status,
        201,
        "no session ends"
    );
}

/// The hash of [`PASSWORD`] with the parameters and the salt that this PHC string begins with.
fn reference_hash(beginning: &str) -> String {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
    let params = Params::new(8, 2, 1, Some(32)).unwrap();
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = hasher
        .hash_password_with_salt(PASSWORD.as_bytes(), b"somesaltsomesalt")
        .unwrap()
        .to_string();
    assert!(hash.starts_with(beginning), "{hash}");
    hash
}

#[test]
fn the_gateway_refuses_what_is_not_signed_by_us() {
    register();
    let tokens = log_in();
    let jwks: Jwks =
        serde_json::from_value(ask().send("GET", "/.well-known/jwks.json").body).unwrap();
    let token = text(&tokens["access_token"]);
    let (head, rest) = token.split_once('.').unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", rest.split_once('.').unwrap().0);
    assert_eq!(
        jwks.verify(&unsigned, ISSUER, AUDIENCE, now()),
        Err(Invalid::Malformed)
    );
    let changed = format!("{head}.{}", rest.replacen('e', "f", 1));
    assert!(jwks.verify(&changed, ISSUER, AUDIENCE, now()).is_err());
    assert!(jwks.verify(&token, ISSUER, AUDIENCE, now()).is_ok());
}

#[test]
fn the_tick_forgets_what_is_over() {
    register();
    let tokens = log_in();
    refresh(&tokens["refresh_token"]);
    log_in_from("192.0.2.9", "bob@example.org", PASSWORD);
    let counts = || {
        ["sessions", "spent_tokens", "known_clients", "attempts"]
            .map(|table| number(&format!("SELECT count(*) FROM {table}")))
    };
    let tick = || assert_eq!(ask().send("POST", "/internal/tick").status, 204);
    tick();
    assert_eq!(counts(), [1, 1, 1, 2], "nothing is over yet");

    run("UPDATE spent_tokens SET spent_at = '2020-01-01T00:00:00.000Z'").unwrap();
    run("UPDATE known_clients SET last_at = '2020-01-01T00:00:00.000Z'").unwrap();
    run("UPDATE attempts SET forget_at = '2020-01-01T00:00:00.000Z'").unwrap();
    tick();
    assert_eq!(counts(), [1, 0, 0, 0]);
    run("UPDATE sessions SET expires_at = '2020-01-01T00:00:00.000Z'").unwrap();
    tick();
    assert_eq!(counts(), [0, 0, 0, 0]);
}

#[test]
fn what_is_over_goes_with_the_traffic_where_nobody_ticks() {
    register();
    log_in();
    run("UPDATE sessions SET expires_at = '2020-01-01T00:00:00.000Z'").unwrap();
    log_in();
    assert_eq!(number("SELECT count(*) FROM sessions"), 1);
    log_in_from(HOME, "bob@example.org", PASSWORD);
    run("UPDATE attempts SET forget_at = '2020-01-01T00:00:00.000Z'").unwrap();
    log_in_from("192.0.2.77", "eve@example.org", PASSWORD);
    assert_eq!(number("SELECT count(*) FROM attempts"), 2);
}
