//! How cards behave.
//!
//! A token is `sandbox-<behaviour>-<UUIDv7>`: it says when it was made, and nothing of the card but how it behaves, which it
//! shares with all cards that behave so. An authorization is `auth-<behaviour>-<key>`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use crate::interface::exports::souk::payment::provider::{Decline, Failure, Operation, Outcome};

/// What happens to a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Good,
    Declined,
    Poor,
    Late,
    Uncapturable,
}

const BEHAVIOURS: [(Behaviour, &str); 5] = [
    (Behaviour::Good, "good"),
    (Behaviour::Declined, "declined"),
    (Behaviour::Poor, "poor"),
    (Behaviour::Late, "late"),
    (Behaviour::Uncapturable, "uncapturable"),
];

impl Behaviour {
    fn of_card(number: &str) -> Self {
        match number {
            "4000000000000002" => Self::Declined,
            "4000000000009995" => Self::Poor,
            "4000000000000119" => Self::Late,
            "4000000000000341" => Self::Uncapturable,
            _ => Self::Good,
        }
    }

    fn word(self) -> &'static str {
        let named = BEHAVIOURS.iter().find(|(behaviour, _)| *behaviour == self);
        named.map_or("", |(_, word)| word)
    }

    /// Takes the behaviour out of `<prefix>-<behaviour>-<rest>`, and returns it with the rest.
    fn split<'a>(text: &'a str, prefix: &str) -> Option<(Self, &'a str)> {
        let (word, rest) = text
            .strip_prefix(prefix)?
            .strip_prefix('-')?
            .split_once('-')?;
        let (behaviour, _) = BEHAVIOURS.iter().find(|(_, known)| *known == word)?;
        Some((*behaviour, rest))
    }
}

/// A token for a card.
pub fn tokenize(number: &str) -> String {
    format!(
        "sandbox-{}-{}",
        Behaviour::of_card(number).word(),
        Uuid::now_v7()
    )
}

/// Fails what has to wait until the card's bad time is over.
pub fn refuse_for_a_while(operation: &Operation, transient: Duration) -> Result<(), Failure> {
    let Operation::Authorize(purchase) = operation else {
        return Ok(());
    };
    match Behaviour::split(&purchase.token, "sandbox") {
        Some((Behaviour::Late, id)) if age(id) < transient => Err(Failure::Unavailable(
            "the card's bank does not answer for a while".into(),
        )),
        _ => Ok(()),
    }
}

/// The time since a UUIDv7 was made.
fn age(id: &str) -> Duration {
    let made = id.parse::<Uuid>().ok().and_then(|id| id.get_timestamp());
    let made = made.map_or(Duration::ZERO, |made| {
        let (seconds, nanos) = made.to_unix();
        Duration::new(seconds, nanos)
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().saturating_sub(made)
}

/// What becomes of an operation that is carried out: always the same, since it follows from its key and input.
pub fn decide(key: &str, operation: &Operation) -> Result<Outcome, Failure> {
    match operation {
        Operation::Authorize(purchase) => {
            let (behaviour, _) = Behaviour::split(&purchase.token, "sandbox")
                .ok_or_else(|| Failure::Invalid("the token is not one of the sandbox".into()))?;
            Ok(match behaviour {
                Behaviour::Declined => declined("card_declined", "The card was declined."),
                Behaviour::Poor => declined(
                    "insufficient_funds",
                    "The card has not enough money for this.",
                ),
                _ => Outcome::Approved(format!("auth-{}-{key}", behaviour.word())),
            })
        }
        Operation::Capture(charge) => Ok(match behaviour_of(&charge.authorization)? {
            Behaviour::Uncapturable => {
                declined("capture_declined", "The card's bank withdrew its consent.")
            }
            _ => Outcome::Approved(format!("capture-{key}")),
        }),
        Operation::Void(authorization) => {
            behaviour_of(authorization)?;
            Ok(Outcome::Approved(format!("void-{key}")))
        }
        Operation::Refund(charge) => {
            behaviour_of(&charge.authorization)?;
            Ok(Outcome::Approved(format!("refund-{key}")))
        }
    }
}

fn behaviour_of(authorization: &str) -> Result<Behaviour, Failure> {
    Behaviour::split(authorization, "auth")
        .map(|(behaviour, _)| behaviour)
        .ok_or_else(|| Failure::Invalid("the authorization is not one of the sandbox".into()))
}

fn declined(code: &str, message: &str) -> Outcome {
    Outcome::Declined(Decline {
        code: code.into(),
        message: message.into(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::interface::exports::souk::payment::provider::{Charge, Money, Purchase};

    fn money() -> Money {
        Money {
            amount: 500,
            currency: "EUR".into(),
        }
    }

    fn authorize(number: &str) -> Operation {
        Operation::Authorize(Purchase {
            token: tokenize(number),
            amount: money(),
        })
    }

    fn capture(authorization: &str) -> Operation {
        Operation::Capture(Charge {
            authorization: authorization.into(),
            amount: money(),
        })
    }

    /// The reference of what is approved, the code of what is declined.
    fn decided(operation: Operation) -> Result<String, String> {
        match decide("k-1", &operation).unwrap() {
            Outcome::Approved(reference) => Ok(reference),
            Outcome::Declined(decline) => Err(decline.code),
        }
    }

    #[test]
    fn each_card_behaves_as_it_should() {
        for good in ["4242424242424242", "5555555555554444", "4000000000000119"] {
            let authorization = decided(authorize(good)).unwrap();
            assert_eq!(decided(capture(&authorization)).unwrap(), "capture-k-1");
        }
        let code = |number| decided(authorize(number)).unwrap_err();
        assert_eq!(code("4000000000000002"), "card_declined");
        assert_eq!(code("4000000000009995"), "insufficient_funds");
        let authorization = decided(authorize("4000000000000341")).unwrap();
        assert_eq!(
            decided(capture(&authorization)).unwrap_err(),
            "capture_declined"
        );
        assert_eq!(decided(Operation::Void(authorization)).unwrap(), "void-k-1");
    }

    #[test]
    fn the_late_card_is_refused_until_its_time_is_over() {
        let second = Duration::from_secs(1);
        let late = authorize("4000000000000119");
        let refused = refuse_for_a_while(&late, second);
        assert!(matches!(refused, Err(Failure::Unavailable(_))));
        let old = Uuid::new_v7(uuid::Timestamp::from_unix(
            uuid::NoContext,
            1_700_000_000,
            0,
        ));
        let Operation::Authorize(purchase) = late else {
            unreachable!()
        };
        let token = format!("sandbox-late-{old}");
        let later = Operation::Authorize(Purchase { token, ..purchase });
        assert!(refuse_for_a_while(&later, second).is_ok());
        assert!(refuse_for_a_while(&authorize("4242424242424242"), second).is_ok());
    }

    #[test]
    fn a_token_says_nothing_of_its_card() {
        let (one, other) = (tokenize("4242424242424242"), tokenize("4242424242424242"));
        assert_ne!(one, other, "no function of the number");
        for token in [one, tokenize("4000000000000002")] {
            let (_, id) = token.split_once('-').unwrap().1.split_once('-').unwrap();
            assert_eq!(id.parse::<Uuid>().unwrap().get_version_num(), 7);
            for number in ["4242", "4000", "0002"] {
                assert!(!token[..token.len() - id.len()].contains(number), "{token}");
            }
        }
    }

    #[test]
    fn the_same_key_is_answered_the_same() {
        let operation = authorize("4242424242424242");
        let again = |key| format!("{:?}", decide(key, &operation));
        assert_eq!(again("a"), again("a"));
        assert_ne!(again("a"), again("b"));
    }

    #[test]
    fn what_others_made_is_refused() {
        let foreign = Operation::Authorize(Purchase {
            token: "pm_1".into(),
            amount: money(),
        });
        for operation in [foreign, capture("pi_1"), Operation::Void("auth-x-1".into())] {
            assert!(matches!(decide("k", &operation), Err(Failure::Invalid(_))));
        }
    }
}
