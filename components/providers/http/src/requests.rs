//! What the processor is asked.

use form_urlencoded::Serializer;

use crate::answers::Action;
use crate::interface::exports::souk::payment::provider::{Card, Charge, Failure, Money, Purchase};

/// A request to the processor.
pub struct Post {
    /// What it is to bring about.
    pub action: Action,
    /// Its path.
    pub path: String,
    /// Its body.
    pub form: String,
}

/// Exchanges a card for a token; the one request that has the card in it.
pub fn tokenize(card: &Card) -> Post {
    let fields = [
        ("type", "card"),
        ("card[number]", &card.number),
        ("card[exp_month]", &card.exp_month.to_string()),
        ("card[exp_year]", &card.exp_year.to_string()),
        ("card[cvc]", &card.cvc),
    ];
    post(Action::Tokenize, "/v1/payment_methods", &fields)
}

/// Holds money. The key goes along as metadata too, where whoever looks into the processor's books can find it.
pub fn authorize(purchase: &Purchase, key: &str) -> Post {
    let fields = [
        ("amount", &*purchase.amount.amount.to_string()),
        ("currency", &currency(&purchase.amount)),
        ("payment_method", &purchase.token),
        ("capture_method", "manual"),
        ("confirm", "true"),
        ("metadata[souk_key]", key),
    ];
    post(Action::Authorize, "/v1/payment_intents", &fields)
}

/// Takes money that is held.
pub fn capture(charge: &Charge) -> Result<Post, Failure> {
    let path = intent_path(&charge.authorization, "capture")?;
    let amount = charge.amount.amount.to_string();
    Ok(post(
        Action::Capture,
        &path,
        &[("amount_to_capture", &amount)],
    ))
}

/// Lets go of money that is held.
pub fn void(authorization: &str) -> Result<Post, Failure> {
    Ok(post(
        Action::Void,
        &intent_path(authorization, "cancel")?,
        &[],
    ))
}

/// Gives money back.
pub fn refund(charge: &Charge) -> Post {
    let fields = [
        ("payment_intent", &*charge.authorization),
        ("amount", &charge.amount.amount.to_string()),
    ];
    post(Action::Refund, "/v1/refunds", &fields)
}

fn post(action: Action, path: &str, fields: &[(&str, &str)]) -> Post {
    Post {
        action,
        path: path.into(),
        form: Serializer::new(String::new()).extend_pairs(fields).finish(),
    }
}

/// The authorization is a part of the path, so it must not be able to lead anywhere else.
fn intent_path(authorization: &str, action: &str) -> Result<String, Failure> {
    let sane = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    match !authorization.is_empty() && authorization.bytes().all(sane) {
        true => Ok(format!("/v1/payment_intents/{authorization}/{action}")),
        false => Err(Failure::Invalid(
            "the authorization is not one of the processor".into(),
        )),
    }
}

fn currency(money: &Money) -> String {
    money.currency.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn charge(authorization: &str) -> Charge {
        let amount = Money {
            amount: 4900,
            currency: "EUR".into(),
        };
        Charge {
            authorization: authorization.into(),
            amount,
        }
    }

    #[test]
    fn requests_are_written_in_the_processors_style() {
        let purchase = Purchase {
            token: "pm_1&x".into(),
            amount: charge("").amount,
        };
        let authorize = authorize(&purchase, "k-1");
        assert_eq!(authorize.path, "/v1/payment_intents");
        assert_eq!(
            authorize.form,
            "amount=4900&currency=eur&payment_method=pm_1%26x&capture_method=manual&confirm=true\
             &metadata%5Bsouk_key%5D=k-1"
        );
        let capture = capture(&charge("pi_1")).ok().unwrap();
        assert_eq!(capture.path, "/v1/payment_intents/pi_1/capture");
        assert_eq!(capture.form, "amount_to_capture=4900");
        let void = void("pi_1").ok().unwrap();
        assert_eq!(void.path, "/v1/payment_intents/pi_1/cancel");
        let refund = refund(&charge("pi_1"));
        assert_eq!(refund.form, "payment_intent=pi_1&amount=4900");
    }

    #[test]
    fn an_authorization_leads_nowhere_else() {
        for odd in ["", "pi_1/../..", "pi_1?x", "pi 1", "pi_1#"] {
            assert!(matches!(void(odd), Err(Failure::Invalid(_))), "{odd}");
            assert!(capture(&charge(odd)).is_err(), "{odd}");
        }
    }
}
