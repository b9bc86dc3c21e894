use super::*;

const WRONG: &str = "wrong horse";

/// Fails so many times, each time from another address.
fn fail_from_everywhere(email: &str, times: usize) -> Vec<u16> {
    let attempt = |n| log_in_from(&format!("198.51.100.{n}"), email, WRONG).status;
    (0..times).map(attempt).collect()
}

/// Lets every wait be over.
fn wait() {
    run("UPDATE attempts SET blocked_until = '2020-01-01T00:00:00.000Z'").unwrap();
}

#[test]
fn guesses_at_an_account_are_held_up_wherever_they_come_from() {
    register();
    // Ten are free, one more is let through and makes the next one wait.
    assert_eq!(
        fail_from_everywhere(EMAIL, 12),
        [vec![401; 11], vec![429]].concat()
    );
    let refused = log_in_from("198.51.100.99", EMAIL, PASSWORD);
    assert_eq!(retry_after(&refused), 1, "even with the right password");
    assert_eq!(refused.body["type"], "urn:souk:problem:too-many-requests");
}

#[test]
fn the_wait_doubles_up_to_a_minute() {
    register();
    fail_from_everywhere(EMAIL, 10);
    let mut waits = Vec::new();
    for _ in 0..9 {
        wait();
        log_in_from("198.51.100.99", EMAIL, WRONG);
        waits.push(retry_after(&log_in_from("198.51.100.98", EMAIL, WRONG)));
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn an_account_that_does_not_exist_is_held_up_alike() {
    register();
    assert_eq!(
        fail_from_everywhere(EMAIL, 14),
        fail_from_everywhere("nobody@example.org", 14)
    );
}

#[test]
fn an_attack_does_not_lock_the_owner_out_at_home() {
    register();
    log_in();
    fail_from_everywhere(EMAIL, 30);
    assert_eq!(log_in_from("203.0.113.5", EMAIL, PASSWORD).status, 429);
    assert_eq!(log_in_from(HOME, EMAIL, PASSWORD).status, 201);
    // Nor is home a place to guess from.
    let statuses: Vec<_> = (0..12)
        .map(|_| log_in_from(HOME, EMAIL, WRONG).status)
        .collect();
    assert_eq!(statuses, [vec![401; 11], vec![429]].concat());
}

#[test]
fn an_attack_does_not_keep_its_victim_from_changing_the_password() {
    register();
    let tokens = log_in();
    fail_from_everywhere(EMAIL, 30);
    let change = json!({"current_password": PASSWORD, "new_password": "battery staple"});
    assert_eq!(
        with(&tokens)
            .json(change)
            .send("POST", "/api/users/me/password")
            .status,
        204
    );
}

#[test]
fn the_present_password_cannot_be_guessed_with_a_stolen_token() {
    register();
    let tokens = log_in();
    let guess = || {
        let change = json!({"current_password": WRONG, "new_password": "battery staple"});
        with(&tokens)
            .json(change)
            .send("POST", "/api/users/me/password")
            .status
    };
    let statuses: Vec<_> = (0..12).map(|_| guess()).collect();
    assert_eq!(statuses, [vec![422; 11], vec![429]].concat());
}

#[test]
fn guesses_from_an_address_are_held_up_whatever_they_are_at() {
    let attempt = |n| log_in_from("203.0.113.5", &format!("user{n}@example.org"), WRONG).status;
    let statuses: Vec<_> = (0..32).map(attempt).collect();
    assert_eq!(statuses, [vec![401; 31], vec![429]].concat());
    assert_eq!(
        log_in_from("203.0.113.6", "user99@example.org", WRONG).status,
        401
    );
}

#[test]
fn a_success_in_between_does_not_give_an_address_new_guesses() {
    register();
    let attempt = |n| log_in_from("203.0.113.5", &format!("user{n}@example.org"), WRONG).status;
    for n in 0..30 {
        attempt(n);
    }
    assert_eq!(log_in_from("203.0.113.5", EMAIL, PASSWORD).status, 201);
    assert_eq!([attempt(30), attempt(31)], [401, 429]);
}

#[test]
fn a_success_forgets_the_failures_of_the_account() {
    register();
    fail_from_everywhere(EMAIL, 9);
    assert_eq!(log_in_from("203.0.113.5", EMAIL, PASSWORD).status, 201);
    assert_eq!(fail_from_everywhere(EMAIL, 11), [401; 11]);
    wait();
    assert_eq!(
        log_in_from("203.0.113.6", EMAIL, PASSWORD).status,
        201,
        "also when it had to wait"
    );
    assert_eq!(fail_from_everywhere(EMAIL, 11), [401; 11]);
}

#[test]
fn failures_are_forgotten_in_time() {
    register();
    fail_from_everywhere(EMAIL, 10);
    run("UPDATE attempts SET forget_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 second')")
        .unwrap();
    assert_eq!(
        fail_from_everywhere(EMAIL, 12),
        [vec![401; 11], vec![429]].concat()
    );
}

#[test]
fn many_failures_are_remembered_longer_than_few() {
    register();
    let minutes = "SELECT CAST(round((julianday(forget_at) - julianday(blocked_until)) * 24 * 60) AS INTEGER) FROM attempts \
        ORDER BY failures DESC LIMIT 1";
    fail_from_everywhere(EMAIL, 1);
    assert_eq!(number(minutes), 60);
    run("UPDATE attempts SET failures = 39").unwrap();
    fail_from_everywhere(EMAIL, 1);
    assert_eq!(number(minutes), 4 * 60);
    wait();
    run("UPDATE attempts SET failures = 5000").unwrap();
    fail_from_everywhere(EMAIL, 1);
    assert_eq!(number(minutes), 24 * 60);
}

#[test]
fn of_many_that_come_at_once_after_a_wait_one_is_let_through() {
    register();
    fail_from_everywhere(EMAIL, 10);
    let email = crate::domain::parse_email(EMAIL).unwrap();
    let counters = [crate::domain::of_account(&email, None)];
    // The statement that decides, as many requests would run it that all found nothing to wait for.
    let admitted =
        || futures::executor::block_on(crate::store::attempts::count_if_free(&counters)).unwrap();
    assert_eq!([admitted(), admitted(), admitted()], [true, false, false]);
}

#[test]
fn only_the_gateway_is_believed_where_a_request_comes_from() {
    register();
    let attempt = |n: usize| {
        let body = json!({"email": format!("user{n}@example.org"), "password": WRONG});
        ask()
            .service("orders")
            .header("x-souk-client", HOME)
            .json(body)
            .send("POST", "/api/sessions")
            .status
    };
    assert!((0..40).all(|n| attempt(n) == 401));
    assert_eq!(
        log_in_from(HOME, EMAIL, WRONG).status,
        401,
        "nothing was counted for that address"
    );
}

#[test]
fn nothing_that_is_counted_names_anybody() {
    log_in_from("203.0.113.5", "nobody@example.org", WRONG);
    assert_eq!(number("SELECT count(*) FROM attempts"), 2);
    let kept = everything();
    assert!(
        !kept.contains("nobody") && !kept.contains("203.0.113.5"),
        "{kept}"
    );
}
