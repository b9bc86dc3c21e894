//! How notifications go out: what is sent, what is tried again, and that nothing holds up anything else.

use std::pin::pin;
use std::task::{Context, Waker};

use axum::body::Body;
use http::Request;

use super::neighbours::Turn::{self, Lost, Status, Unreachable};
use super::neighbours::{arrived, heal, let_users_be_down, next};
use super::*;

/// A tick during which the instance ends: it waits for an answer that does not come.
fn tick_that_is_cut_off() {
    let request = Request::post("/internal/tick").body(Body::empty()).unwrap();
    let mut tick = pin!(SERVICE.answer_to(Ok(None), request));
    for _ in 0..10 {
        let polled = tick.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    }
}

/// How long until a delivery on this channel is due again, in milliseconds.
fn wait(channel: &str) -> i64 {
    let sql = format!(
        "SELECT (due_at - CAST(unixepoch('subsec') * 1000 AS INTEGER)) || '' FROM deliveries WHERE channel = '{channel}'"
    );
    run(&sql).unwrap().unwrap().parse().unwrap()
}

#[test]
fn a_channel_that_is_not_set_up_is_not_used() {
    confirm(1, ADA);
    run_low(1);
    tick();
    assert_eq!(deliveries(), ["inbox sent 0 -", "inbox sent 0 -"]);
    assert!(arrived("https").is_empty());
}

#[test]
fn a_mail_is_sent_as_the_api_wants_it() {
    turn_on_mail();
    confirm(1, ADA);
    tick();
    let mails = arrived(MAIL);
    let mail = &mails[0];
    let shown = &inbox(ADA)[0];
    assert_eq!(
        mail.body,
        json!({"from": "shop@souk.example", "to": "ada@example.org", "subject": shown["title"],
            "text": shown["text"], "html": shown["html"]})
    );
    assert_eq!(mail.headers["authorization"], "Bearer key-of-the-shop");
    let delivery = "SELECT id FROM deliveries WHERE channel = 'email'";
    assert_eq!(
        Some(&mail.headers["idempotency-key"]),
        run(delivery).unwrap().as_ref()
    );
    assert_eq!(deliveries(), ["email sent 1 -", "inbox sent 0 -"]);
    tick();
    assert_eq!((mails.len(), arrived(MAIL).len()), (1, 0));
}

#[test]
fn administrators_get_mail_where_somebody_is_named() {
    turn_on_mail();
    run_low(1);
    tick();
    assert_eq!(deliveries(), ["inbox sent 0 -"]);
    set("mail_admin_to", "ops@souk.example");
    run_low(2);
    tick();
    let mails = arrived(MAIL);
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].body["to"], "ops@souk.example");
}

#[test]
fn a_webhook_is_signed() {
    turn_on();
    confirm(1, ADA);
    tick();
    let hooks = arrived(HOOK);
    let hook = &hooks[0];
    let shown = &inbox(ADA)[0];
    let id = &hook.headers["webhook-id"];
    assert_eq!(
        hook.body,
        json!({"id": id, "type": "notification", "timestamp": shown["created_at"], "data": {
            "notification_id": shown["id"], "kind": "order_confirmed", "user_id": ADA, "order_id": shown["order_id"],
            "title": shown["title"], "text": shown["text"]}})
    );
    let timestamp: u64 = hook.headers["webhook-timestamp"].parse().unwrap();
    assert!(souk_chassis::context::now().abs_diff(timestamp) < 60);
    assert_eq!(
        hook.headers["webhook-signature"],
        signed(id, timestamp, &hook.text)
    );
    assert_eq!(deliveries()[2], "webhook sent 1 -");
}

fn signed(id: &str, timestamp: u64, body: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hmac::{Hmac, Mac};
    let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    let mac = mac.chain_update(format!("{id}.{timestamp}.{body}"));
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[test]
fn what_may_pass_is_tried_again_later() {
    for turn in [
        Status(408),
        Status(425),
        Status(429),
        Status(500),
        Status(503),
        Unreachable,
    ] {
        // Each thread has a database of its own.
        let tried = std::thread::spawn(move || tried_again(turn));
        tried.join().unwrap();
    }
}

fn tried_again(turn: Turn) {
    turn_on();
    for whose in [MAIL, HOOK] {
        next(whose, [turn]);
    }
    confirm(1, ADA);
    tick();
    let failed = deliveries();
    assert!(
        failed[0].starts_with("email pending 1 the mail API "),
        "{turn:?}: {failed:?}"
    );
    assert!(
        failed[2].starts_with("webhook pending 1 the webhook "),
        "{turn:?}: {failed:?}"
    );
    arrived("https");
    tick();
    assert!(arrived("https").is_empty(), "it is not due yet");
    later();
    tick();
    assert_eq!(arrived("https").len(), 2);
    assert_eq!(
        deliveries(),
        ["email sent 2 -", "inbox sent 0 -", "webhook sent 2 -"]
    );
}

#[test]
fn what_will_not_pass_is_parked_at_once() {
    turn_on();
    next(MAIL, [Status(422)]);
    next(HOOK, [Status(410)]);
    confirm(1, ADA);
    tick();
    let parked = [
        "email parked 1 the mail API answered 422",
        "inbox sent 0 -",
        "webhook parked 1 the webhook answered 410",
    ];
    assert_eq!(deliveries(), parked);
    later();
    tick();
    assert_eq!(deliveries(), parked);
    assert_eq!(arrived("https").len(), 2);
}

#[test]
fn after_many_attempts_it_is_parked() {
    turn_on_mail();
    next(MAIL, [Status(503); 20]);
    confirm(1, ADA);
    let mut waits = Vec::new();
    for _ in 1..crate::domain::ATTEMPTS {
        later();
        tick();
        waits.push(wait("email"));
    }
    assert!((2_000..5_000).contains(&waits[0]), "{waits:?}");
    assert!((4_500..10_000).contains(&waits[1]), "{waits:?}");
    assert!((1_799_000..3_600_000).contains(&waits[10]), "{waits:?}");
    assert_eq!(
        deliveries()[0],
        "email pending 11 the mail API answered 503"
    );
    later();
    tick();
    assert_eq!(deliveries()[0], "email parked 12 the mail API answered 503");
    later();
    tick();
    assert_eq!(arrived(MAIL).len(), 12);
}

#[test]
fn who_is_gone_gets_no_mail() {
    turn_on();
    confirm(1, BOB);
    tick();
    assert_eq!(
        deliveries(),
        [
            "email parked 1 no recipient",
            "inbox sent 0 -",
            "webhook sent 1 -"
        ]
    );
    assert!(arrived(MAIL).is_empty());
}

#[test]
fn while_users_are_down_mail_waits() {
    turn_on();
    let_users_be_down(true);
    confirm(1, ADA);
    tick();
    let waiting = "email pending 1 the service users is not to be reached";
    assert_eq!(deliveries()[0], waiting);
    assert_eq!(arrived(HOOK).len(), 1);
    let_users_be_down(false);
    later();
    tick();
    assert_eq!(arrived(MAIL).len(), 1);
}

#[test]
fn a_channel_that_fails_holds_up_no_other() {
    turn_on();
    next(HOOK, [Unreachable; 100]);
    for number in 1..=9 {
        confirm(number, ADA);
    }
    tick();
    assert_eq!(arrived(MAIL).len(), 9);
    let of = |begin: &str| {
        deliveries()
            .iter()
            .filter(|it| it.starts_with(begin))
            .count()
    };
    assert_eq!(of("email sent"), 9);
    assert_eq!(
        (of("webhook pending 1"), of("webhook pending 0")),
        (4, 5),
        "the rest is spared"
    );
    heal();
    later();
    tick();
    assert_eq!(of("webhook sent"), 9);
}

#[test]
fn a_channel_that_hangs_holds_up_no_other() {
    turn_on();
    next(HOOK, [Lost; 100]);
    for number in 1..=9 {
        confirm(number, ADA);
    }
    tick_that_is_cut_off();
    assert_eq!(arrived(MAIL).len(), 9);
    assert_eq!(arrived(HOOK).len(), 4, "as many as are sent at a time");
    let sent = deliveries();
    assert_eq!(sent.iter().filter(|it| *it == "email sent 1 -").count(), 9);
}

#[test]
fn one_that_fails_holds_up_no_other_of_its_channel() {
    turn_on_mail();
    next(MAIL, [Status(503), Status(422)]);
    for number in 1..=9 {
        confirm(number, ADA);
    }
    tick();
    let statuses = deliveries();
    let of = |begin: &str| statuses.iter().filter(|it| it.starts_with(begin)).count();
    assert_eq!(
        (
            of("email pending 1"),
            of("email parked 1"),
            of("email sent 1")
        ),
        (1, 1, 7)
    );
}

#[test]
fn an_instance_that_ends_between_send_and_mark_sends_again_under_the_same_key() {
    turn_on();
    next(MAIL, [Lost]);
    next(HOOK, [Lost]);
    confirm(1, ADA);
    tick_that_is_cut_off();
    tick();
    let (mails, hooks) = (arrived(MAIL), arrived(HOOK));
    assert_eq!(
        (mails.len(), hooks.len()),
        (1, 1),
        "nobody sends while there is a lease"
    );
    later();
    tick();
    let (mails_again, hooks_again) = (arrived(MAIL), arrived(HOOK));
    let key = "idempotency-key";
    assert_eq!(mails[0].headers[key], mails_again[0].headers[key]);
    assert_eq!(
        hooks[0].headers["webhook-id"],
        hooks_again[0].headers["webhook-id"]
    );
    assert_eq!(hooks[0].text, hooks_again[0].text);
    assert_eq!(
        deliveries(),
        ["email sent 2 -", "inbox sent 0 -", "webhook sent 2 -"]
    );
}

#[test]
fn whoever_is_late_says_nothing_about_the_attempt_of_another() {
    use crate::store;
    use futures::executor::block_on;
    turn_on_mail();
    confirm(1, ADA);
    let claim = || block_on(store::claim("email", 4)).unwrap();
    let first = claim().remove(0);
    assert!(claim().is_empty(), "it is leased");
    // A lease that has run out began at another moment.
    std::thread::sleep(std::time::Duration::from_millis(2));
    later();
    let second = claim().remove(0);
    assert_eq!((&first.id, second.attempts), (&second.id, 2));
    block_on(store::postpone(&first, 1, "late")).unwrap();
    block_on(store::park(&first, "late")).unwrap();
    assert_eq!(deliveries()[0], "email pending 2 -");
    block_on(store::sent(&first)).unwrap();
    assert_eq!(
        deliveries()[0],
        "email sent 2 -",
        "but what was sent was sent"
    );
    block_on(store::park(&second, "late")).unwrap();
    assert_eq!(deliveries()[0], "email sent 2 -");
}

#[test]
fn a_channel_that_was_turned_off_meanwhile_is_parked() {
    turn_on_mail();
    confirm(1, ADA);
    set("mail_api_key", "");
    tick();
    assert_eq!(deliveries()[0], "email parked 1 the channel is off");
}
