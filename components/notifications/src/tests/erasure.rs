//! When an account is deleted.

use super::*;

#[test]
fn nothing_is_left_of_a_user_who_is_gone() {
    turn_on();
    confirm(1, ADA);
    confirm(2, BOB);
    delete_account(ADA);
    assert!(inbox(ADA).is_empty());
    assert_eq!(inbox(BOB).len(), 1);
    assert!(items(admin(), &format!("order_id={}", id(1))).is_empty());
    let left = "SELECT group_concat(user_id) FROM notifications";
    assert_eq!(run(left).unwrap().as_deref(), Some(BOB));
}

#[test]
fn what_was_not_sent_yet_is_not_sent_any_more() {
    turn_on();
    neighbours::next(MAIL, [neighbours::Turn::Status(503)]);
    neighbours::next(HOOK, [neighbours::Turn::Status(503)]);
    confirm(1, ADA);
    tick();
    neighbours::arrived("https");
    delete_account(ADA);
    later();
    tick();
    assert!(neighbours::arrived("https").is_empty());
    assert!(deliveries().is_empty());
}

#[test]
fn what_comes_late_makes_nothing() {
    delete_account(ADA);
    delete_account(ADA);
    confirm(1, ADA);
    capture(1, 1);
    assert!(inbox(ADA).is_empty());
    assert_eq!(
        run("SELECT count(*) || '' FROM notifications")
            .unwrap()
            .as_deref(),
        Some("0")
    );
}

#[test]
fn what_came_before_makes_nothing_when_it_comes_again() {
    confirm(1, ADA);
    delete_account(ADA);
    confirm(1, ADA);
    assert!(inbox(ADA).is_empty());
}

#[test]
fn the_table_itself_takes_nothing_of_who_is_gone() {
    delete_account(ADA);
    let insert = format!(
        "INSERT INTO notifications (id, user_id, kind, cause, title, text, html, channels) \
         VALUES ('n', '{ADA}', 'order_confirmed', 'c', '', '', '', '[]')"
    );
    assert!(
        run(&insert)
            .unwrap_err()
            .violates("notifications_are_of_accounts")
    );
}

#[test]
fn what_an_administrator_has_read_goes_too() {
    run_low(1);
    let shared = &items(admin(), "")[0];
    assert_eq!(read(admin(), shared).status, 200);
    delete_account(ROOT);
    assert_eq!(
        run("SELECT count(*) || '' FROM notification_reads")
            .unwrap()
            .as_deref(),
        Some("0")
    );
    assert_eq!(items(admin(), "").len(), 1, "which stays for the others");
}
