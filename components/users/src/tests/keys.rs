use super::*;
use futures::executor::block_on;
use souk_access::SigningKey;

fn kids() -> Vec<String> {
    let jwks = ask().send("GET", "/.well-known/jwks.json");
    let keys = jwks.body["keys"].as_array().unwrap();
    keys.iter().map(|key| text(&key["kid"])).collect()
}

/// Makes time pass for the keys.
fn pass(time: &str) {
    run(&format!(
        "UPDATE signing_keys SET signs_from = strftime('%Y-%m-%dT%H:%M:%fZ', signs_from, '-{time}')"
    ))
    .unwrap();
}

fn tick() {
    ask().send("POST", "/internal/tick");
}

/// Which key a new token is signed with.
fn signing() -> String {
    block_on(crate::keys::signing()).unwrap().kid().to_owned()
}

#[test]
fn the_keys_are_public_and_may_be_kept() {
    let jwks = ask().send("GET", "/.well-known/jwks.json");
    assert_eq!(jwks.status, 200);
    assert_eq!(jwks.headers["cache-control"], "public, max-age=300");
    let key = &jwks.body["keys"][0];
    assert_eq!(
        (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
        (
            &json!("OKP"),
            &json!("Ed25519"),
            &json!("EdDSA"),
            &json!("sig")
        )
    );
    assert_eq!(
        key.as_object().unwrap().len(),
        6,
        "and nothing of the secret: {key}"
    );
}

#[test]
fn the_first_key_is_made_once_and_kept() {
    assert_eq!(number("SELECT count(*) FROM signing_keys"), 0);
    let kid = signing();
    assert_eq!((signing(), kids()), (kid.clone(), vec![kid.clone()]));
    // Another instance that found none at the same moment.
    let secret = [7; 32];
    block_on(crate::store::keys::add_if_due(
        &SigningKey::new(&secret),
        &secret,
    ))
    .unwrap();
    assert_eq!((signing(), kids()), (kid.clone(), vec![kid]));
}

#[test]
fn a_tick_makes_no_key_that_nobody_needs() {
    tick();
    assert_eq!(number("SELECT count(*) FROM signing_keys"), 0);
}

#[test]
fn a_key_is_followed_by_the_next_with_notice_and_stays_until_its_tokens_are_over() {
    register();
    let tokens = log_in();
    let old = signing();
    pass("29 days");
    tick();
    assert_eq!(kids(), std::slice::from_ref(&old), "it is not yet time");

    pass("1 days");
    tick();
    tick();
    let published = kids();
    assert_eq!(published.len(), 2);
    assert_eq!(signing(), old, "the next one is only published yet");

    pass("61 minutes");
    tick();
    let new = signing();
    assert_eq!((&new, kids()), (&published[1], published.clone()));
    claims(&tokens);

    pass("16 minutes");
    tick();
    assert_eq!(kids(), [new], "every token of the old one is over");
}

#[test]
fn whoever_logs_in_rotates_the_key_where_nobody_ticks() {
    register();
    log_in();
    pass("31 days");
    claims(&log_in());
    assert_eq!(kids().len(), 2);
}
