use super::*;
use futures::executor::block_on;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use souk_access::{Invalid, LIFETIME, Role};

use crate::domain::{RefreshToken, Secret};

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
fn of_two_who_have_a_token_one_makes_the_next() {
    register();
    let token = RefreshToken::brought(text(&log_in()["refresh_token"]));
    // The statement that decides, as two requests would run it, whichever is first.
    let [first, second] = [(); 2].map(|()| Secret::new().unwrap());
    let rotates = |secret| {
        let rotated = block_on(crate::store::sessions::rotate(&token, secret));
        rotated.unwrap().is_some()
    };
    assert_eq!([rotates(&first), rotates(&second)], [true, false]);
    let next = token.successor(&first).hash();
    assert_eq!(
        number(&format!(
            "SELECT count(*) FROM sessions WHERE token = '{next}'"
        )),
        1
    );
}

/// Lets so many seconds go by since tokens were spent.
fn let_pass(seconds: u32) {
    run(&format!(
        "UPDATE spent_tokens SET spent_at = strftime('%Y-%m-%dT%H:%M:%fZ', spent_at, '-{seconds} seconds')"
    ))
    .unwrap();
}

#[test]
fn who_refreshes_again_for_want_of_the_answer_gets_the_same_token() {
    register();
    let tokens = log_in();
    let first = refresh(&tokens["refresh_token"]);
    let_pass(8);
    let again = refresh(&tokens["refresh_token"]);
    assert_eq!((first.status, again.status), (201, 201), "{}", again.text);
    assert_eq!(first.body["refresh_token"], again.body["refresh_token"]);
    assert!(
        !everything().contains(&text(&again.body["refresh_token"])),
        "it is made anew, not kept"
    );
    let (one, other) = (claims(&first.body), claims(&again.body));
    assert_eq!((one.sub, one.sid), (other.sub, other.sid));
    assert_ne!(one.jti, other.jti, "each is given an access token");
    assert_eq!(refresh(&again.body["refresh_token"]).status, 201);
}

#[test]
fn a_token_that_was_spent_some_time_ago_ends_its_session() {
    register();
    let tokens = log_in();
    let next = refresh(&tokens["refresh_token"]).body;
    let_pass(8);
    assert_eq!(refresh(&tokens["refresh_token"]).status, 201);
    let_pass(2);
    assert_eq!(
        refresh(&tokens["refresh_token"]).status,
        401,
        "it is ten seconds from when it was spent, however often it came since"
    );
    assert_eq!(refresh(&next["refresh_token"]).status, 401);
    assert_eq!(number("SELECT count(*) FROM sessions"), 0);
}

#[test]
fn only_the_token_that_was_spent_last_may_come_again() {
    register();
    let tokens = log_in();
    let second = refresh(&tokens["refresh_token"]).body;
    let third = refresh(&second["refresh_token"]).body;
    assert_eq!(
        refresh(&second["refresh_token"]).body["refresh_token"],
        third["refresh_token"]
    );
    assert_eq!(refresh(&tokens["refresh_token"]).status, 401);
    assert_eq!(number("SELECT count(*) FROM sessions"), 0);
}

#[test]
fn a_session_that_is_over_is_not_refreshed_again() {
    register();
    let tokens = log_in();
    refresh(&tokens["refresh_token"]);
    run("UPDATE sessions SET expires_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 second')")
        .unwrap();
    assert_eq!(refresh(&tokens["refresh_token"]).status, 401);
}

/// A refresh by a version of the service from before there were secrets.
fn refresh_as_before(token: &Value) -> String {
    let next = RefreshToken::first().unwrap();
    let hash = RefreshToken::brought(text(token)).hash();
    run(&format!(
        "UPDATE sessions SET token = '{}', refreshed_at = strftime('%Y-%m-%dT%H:%M:%fZ') WHERE token = '{hash}'",
        next.hash()
    ))
    .unwrap();
    next.into_text()
}

#[test]
fn while_two_versions_run_sessions_go_on_and_stolen_tokens_end_them() {
    register();
    let tokens = log_in();
    // From the old version to the new one and back.
    let second = json!(refresh_as_before(&tokens["refresh_token"]));
    let third = refresh(&second).body["refresh_token"].clone();
    let fourth = json!(refresh_as_before(&third));
    assert_eq!(
        refresh(&third).status,
        401,
        "what it was spent for cannot be made again"
    );
    assert_eq!(refresh(&fourth).status, 401);

    let other = log_in();
    refresh_as_before(&other["refresh_token"]);
    assert_eq!(refresh(&other["refresh_token"]).status, 401);
}

/// A session as it should be.
struct Reference {
    /// Its tokens, the one that is good now last.
    tokens: Vec<Value>,
    /// For how many seconds the last but one has been spent.
    spent_for: u32,
}

impl Reference {
    /// Refreshes with one of the tokens; says whether the session goes on.
    fn refresh(&mut self, index: usize, seed: u64) -> bool {
        let answer = refresh(&self.tokens[index]);
        let told = answer.body["refresh_token"].clone();
        let newest = self.tokens.len() - 1;
        if index == newest {
            assert_eq!(answer.status, 201, "seed {seed}: {}", answer.text);
            assert!(!self.tokens.contains(&told), "seed {seed}");
            self.tokens.push(told);
            self.spent_for = 0;
            return true;
        }
        if index + 1 == newest && self.spent_for < 10 {
            assert_eq!(told, self.tokens[newest], "seed {seed}: {}", answer.text);
            return true;
        }
        assert_eq!(answer.status, 401, "seed {seed}: {}", answer.text);
        false
    }
}

#[test]
fn whatever_tokens_come_in_whatever_order_the_session_is_one_persons() {
    register();
    let (mut went_on, mut ended) = (0, 0);
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut session = Reference {
            tokens: vec![log_in()["refresh_token"].clone()],
            spent_for: 0,
        };
        for _ in 0..12 {
            if random.random_range(0..3) == 0 {
                // Far enough from ten seconds for the time that the test itself takes.
                let_pass(4);
                session.spent_for += 4;
            }
            let back = [0, 0, 0, 1, 1, 1, 1, 2][random.random_range(0..8)];
            let index = session.tokens.len().saturating_sub(1 + back);
            if !session.refresh(index, seed) {
                let good_before = session.tokens.iter().rev();
                assert!(
                    good_before
                        .take(2)
                        .all(|token| refresh(token).status == 401)
                );
                ended += 1;
                break;
            }
            went_on += 1;
        }
    }
    assert!(
        went_on > 20 && ended > 3,
        "both happen: {went_on} and {ended}"
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
