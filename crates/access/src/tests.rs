#![allow(clippy::unwrap_used)]
use super::*;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};

const NOW: u64 = 1_700_000_000;

/// The key of RFC 8037, appendix A.1.
const RFC_SECRET: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

fn rfc_key() -> SigningKey {
    let secret = BASE64.decode(RFC_SECRET).unwrap();
    SigningKey::new(&secret.try_into().unwrap())
}

fn jwks() -> Jwks {
    Jwks {
        keys: vec![SigningKey::new(&[1; 32]).jwk(), rfc_key().jwk()],
    }
}

fn claims() -> Claims {
    let [user, session, id] = [1, 2, 3].map(Uuid::from_u128);
    Claims::new(user, Role::Customer, session, id, NOW)
}

fn verify(token: &str, now: u64) -> Result<Claims, Invalid> {
    jwks().verify(token, ISSUER, AUDIENCE, now)
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": rfc_key().kid()})
}

/// A token with any header and payload, signed properly.
fn signed(header: &Value, payload: &Value) -> String {
    rfc_key().sign_parts(
        header.to_string().as_bytes(),
        payload.to_string().as_bytes(),
    )
}

fn payload() -> Value {
    serde_json::to_value(claims()).unwrap()
}

/// `value` with this member changed, or taken out where it is null.
fn with(mut value: Value, member: &str, new: Value) -> Value {
    let members = value.as_object_mut().unwrap();
    members.remove(member);
    if !new.is_null() {
        members.insert(member.into(), new);
    }
    value
}

#[test]
fn rfc_8037_appendix_a_1_and_a_2_the_public_key() {
    let jwk = rfc_key().jwk();
    assert_eq!(jwk.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!((&*jwk.kty, &*jwk.crv), ("OKP", "Ed25519"));
}

#[test]
fn rfc_8037_appendix_a_3_the_thumbprint() {
    assert_eq!(
        rfc_key().kid(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}

#[test]
fn rfc_8037_appendix_a_4_and_a_5_the_signature() {
    let token = rfc_key().sign_parts(br#"{"alg":"EdDSA"}"#, b"Example of Ed25519 signing");
    assert_eq!(
        token,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let kid = rfc_key().kid().to_owned();
    assert_eq!(jwks().check_signature(&kid, signed, signature), Ok(()));
}

#[test]
fn a_fresh_token_says_what_was_signed() {
    assert_eq!(verify(&rfc_key().sign(&claims()), NOW), Ok(claims()));
}

#[test]
fn no_other_algorithm_is_taken_even_when_signed() {
    for algorithm in [
        "none", "None", "", "HS256", "RS256", "ES256", "Ed448", "eddsa",
    ] {
        let header = with(header(), "alg", algorithm.into());
        let token = signed(&header, &payload());
        assert_eq!(verify(&token, NOW), Err(Invalid::Malformed), "{algorithm}");
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        assert_eq!(
            verify(&unsigned, NOW),
            Err(Invalid::Malformed),
            "{algorithm}"
        );
    }
}

#[test]
fn the_public_key_is_no_secret_of_an_hmac() {
    let jwk = rfc_key().jwk();
    let header = with(header(), "alg", "HS256".into());
    let parts = format!(
        "{}.{}",
        BASE64.encode(header.to_string()),
        BASE64.encode(payload().to_string())
    );
    for secret in [BASE64.decode(&jwk.x).unwrap(), jwk.x.into_bytes()] {
        let mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        let mac = mac.chain_update(&parts).finalize().into_bytes();
        let token = format!("{parts}.{}", BASE64.encode(mac));
        assert_eq!(verify(&token, NOW), Err(Invalid::Malformed));
    }
}

#[test]
fn only_our_header_is_taken_even_when_signed() {
    for (member, value) in [
        ("typ", json!("JWT")),
        ("typ", json!("application/at+jwt")),
        ("typ", Value::Null),
        ("kid", Value::Null),
        ("kid", json!(7)),
        ("alg", Value::Null),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("jku", json!("https://example.org/keys")),
        (
            "jwk",
            json!({"kty": "OKP", "crv": "Ed25519", "x": rfc_key().jwk().x}),
        ),
    ] {
        let token = signed(&with(header(), member, value.clone()), &payload());
        assert_eq!(
            verify(&token, NOW),
            Err(Invalid::Malformed),
            "{member} {value}"
        );
    }
    let twice = format!(
        r#"{{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"{}"}}"#,
        rfc_key().kid()
    );
    let token = rfc_key().sign_parts(twice.as_bytes(), payload().to_string().as_bytes());
    assert_eq!(verify(&token, NOW), Err(Invalid::Malformed));
}

#[test]
fn every_claim_is_needed() {
    for member in ["iss", "aud", "sub", "role", "iat", "exp", "jti", "sid"] {
        let token = signed(&header(), &with(payload(), member, Value::Null));
        assert_eq!(verify(&token, NOW), Err(Invalid::Malformed), "{member}");
    }
    for (member, value) in [
        ("sub", json!("me")),
        ("role", json!("root")),
        ("exp", json!(-1)),
        ("aud", json!([AUDIENCE])),
    ] {
        let token = signed(&header(), &with(payload(), member, value));
        assert_eq!(verify(&token, NOW), Err(Invalid::Malformed), "{member}");
    }
}

#[test]
fn an_unknown_key_is_told_apart() {
    let token = SigningKey::new(&[9; 32]).sign(&claims());
    assert_eq!(verify(&token, NOW), Err(Invalid::UnknownKey));

    let mut jwks = jwks();
    jwks.keys[1].alg = "HS256".into();
    let token = rfc_key().sign(&claims());
    assert_eq!(
        jwks.verify(&token, ISSUER, AUDIENCE, NOW),
        Err(Invalid::UnknownKey)
    );
}

#[test]
fn forged_and_changed_tokens_are_refused() {
    let token = rfc_key().sign(&claims());
    let (parts, signature) = token.rsplit_once('.').unwrap();
    let header_part = parts.split_once('.').unwrap().0;

    let admin = with(payload(), "role", "admin".into()).to_string();
    let promoted = format!("{header_part}.{}.{signature}", BASE64.encode(admin));
    assert_eq!(verify(&promoted, NOW), Err(Invalid::Signature));

    let stranger = SigningKey::new(&[9; 32]);
    let forged = stranger.sign_parts(
        header().to_string().as_bytes(),
        payload().to_string().as_bytes(),
    );
    assert_eq!(verify(&forged, NOW), Err(Invalid::Signature));

    let other_known = with(header(), "kid", SigningKey::new(&[1; 32]).kid().into());
    assert_eq!(
        verify(&signed(&other_known, &payload()), NOW),
        Err(Invalid::Signature)
    );

    let mut bytes = BASE64.decode(signature).unwrap();
    for bit in [0, 255, 256, 511] {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(
            verify(&format!("{parts}.{}", BASE64.encode(&bytes)), NOW).is_err(),
            "{bit}"
        );
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_key_of_small_order_verifies_nothing() {
    // With the neutral element as its key, the signature (neutral element, 0) would fit every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = Jwk::of(&VerifyingKey::from_bytes(&neutral).unwrap());
    let header = with(header(), "kid", weak.kid.as_str().into()).to_string();
    let parts = format!(
        "{}.{}",
        BASE64.encode(header),
        BASE64.encode(payload().to_string())
    );
    let signature: Vec<u8> = neutral.into_iter().chain([0; 32]).collect();
    let token = format!("{parts}.{}", BASE64.encode(signature));
    let jwks = Jwks { keys: vec![weak] };
    assert_eq!(
        jwks.verify(&token, ISSUER, AUDIENCE, NOW),
        Err(Invalid::Signature)
    );
}

#[test]
fn a_token_lives_its_time_give_or_take_the_skew() {
    let token = rfc_key().sign(&claims());
    assert!(verify(&token, NOW + LIFETIME + CLOCK_SKEW - 1).is_ok());
    assert_eq!(
        verify(&token, NOW + LIFETIME + CLOCK_SKEW),
        Err(Invalid::Expired)
    );
    assert!(verify(&token, NOW - CLOCK_SKEW).is_ok());
    assert_eq!(verify(&token, NOW - CLOCK_SKEW - 1), Err(Invalid::Expired));
}

#[test]
fn a_token_that_wants_to_live_long_is_refused() {
    for exp in [NOW + LIFETIME + 1, u64::MAX] {
        let token = rfc_key().sign(&Claims { exp, ..claims() });
        assert_eq!(verify(&token, NOW), Err(Invalid::Expired));
    }
}

#[test]
fn issuer_and_audience_must_be_the_expected_ones() {
    let token = rfc_key().sign(&claims());
    assert_eq!(
        jwks().verify(&token, "shop", AUDIENCE, NOW),
        Err(Invalid::Issuer)
    );
    assert_eq!(
        jwks().verify(&token, ISSUER, "shop-api", NOW),
        Err(Invalid::Audience)
    );
}

#[test]
fn rubbish_is_refused() {
    let long = format!("{}.a.b", "a".repeat(MAX_LENGTH));
    let token = rfc_key().sign(&claims());
    for rubbish in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "x",
        "é.é.é",
        &long,
        &format!("{token}="),
        &format!("{token}.x"),
        &token[1..],
    ] {
        assert_eq!(verify(rubbish, NOW), Err(Invalid::Malformed), "{rubbish}");
    }
}

#[test]
fn a_token_that_is_too_long_is_not_looked_at() {
    let padded = with(payload(), "padding", "x".repeat(MAX_LENGTH).into());
    assert_eq!(
        verify(&signed(&header(), &padded), NOW),
        Err(Invalid::Malformed)
    );
    let little = with(payload(), "padding", "x".into());
    assert_eq!(verify(&signed(&header(), &little), NOW), Ok(claims()));
}

#[test]
fn a_set_may_have_keys_of_another_kind() {
    let mut set = serde_json::to_value(jwks()).unwrap();
    let rsa = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "r"});
    set["keys"].as_array_mut().unwrap().insert(0, rsa);
    let set: Jwks = serde_json::from_value(set).unwrap();
    let token = rfc_key().sign(&claims());
    assert!(set.verify(&token, ISSUER, AUDIENCE, NOW).is_ok());
}

#[test]
fn a_signing_key_does_not_show_its_secret() {
    let shown = format!("{:?}", rfc_key());
    assert!(shown.contains(rfc_key().kid()), "{shown}");
    let secret = format!("{:?}", BASE64.decode(RFC_SECRET).unwrap());
    assert!(!shown.contains(secret.trim_matches(['[', ']'])), "{shown}");
}
