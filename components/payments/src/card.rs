//! Cards: what makes one valid. A number is never printed, kept or repeated in a message.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use souk_chassis::fields::{self, Fields, FromFields, Rule};

/// A card as its owner enters it. Its fields are only passed on to the provider.
#[derive(Default)]
pub struct Card {
    pub number: String,
    pub exp_month: i64,
    pub exp_year: i64,
    pub cvc: String,
}

/// A word that stands for a card at the provider.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token(pub String);

/// Who issues a kind of cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Brand {
    Visa,
    Mastercard,
    Amex,
    Discover,
    Other,
}

/// What may be known of a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CardSummary {
    pub brand: Brand,
    pub last4: String,
    pub exp_month: i64,
    pub exp_year: i64,
}

/// A card's token, and what may be known of the card.
#[derive(Serialize, JsonSchema)]
pub struct CardToken {
    pub token: String,
    #[serde(flatten)]
    pub card: CardSummary,
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Card(..)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl fmt::Debug for CardToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CardToken").field(&self.card).finish()
    }
}

impl Card {
    /// What may be known of it.
    pub fn summary(&self) -> CardSummary {
        let last4 = self.number.len().saturating_sub(4);
        CardSummary {
            brand: Brand::of(&self.number),
            last4: self.number[last4..].to_owned(),
            exp_month: self.exp_month,
            exp_year: self.exp_year,
        }
    }
}

impl Brand {
    /// Reads it off a number's first digits.
    fn of(number: &str) -> Self {
        let prefix = |digits: usize| number.get(..digits).and_then(|p| p.parse().ok());
        match (prefix(2).unwrap_or(0), prefix(4).unwrap_or(0)) {
            (40..=49, _) => Self::Visa,
            (51..=55, _) | (_, 2221..=2720) => Self::Mastercard,
            (34 | 37, _) => Self::Amex,
            (65, _) | (_, 6011 | 6440..=6499) => Self::Discover,
            _ => Self::Other,
        }
    }

    fn has_length(self, digits: usize) -> bool {
        match self {
            Self::Visa => matches!(digits, 13 | 16 | 19),
            Self::Mastercard => digits == 16,
            Self::Amex => digits == 15,
            Self::Discover => (16..=19).contains(&digits),
            Self::Other => (12..=19).contains(&digits),
        }
    }

    fn cvc_length(self) -> usize {
        match self {
            Self::Amex => 4,
            _ => 3,
        }
    }
}

impl FromFields for Card {
    fn from_fields(fields: &mut Fields) -> Self {
        fields.required::<_, String>("type", fields::one_of(&["card"]));
        let card = Self {
            number: fields.required("number", number()),
            exp_month: fields.required("exp_month", fields::whole_number(1..=12)),
            exp_year: fields.required("exp_year", fields::whole_number(2000..=2100)),
            cvc: fields.required("cvc", cvc()),
        };
        if card.exp_month > 0 && card.exp_year > 0 && is_over(card.exp_month, card.exp_year, now())
        {
            fields.error("exp_year", "is over: the card has expired");
        }
        let digits = Brand::of(&card.number).cvc_length();
        if !card.number.is_empty() && !card.cvc.is_empty() && card.cvc.len() != digits {
            fields.error("cvc", format!("must have {digits} digits on such a card"));
        }
        card
    }
}

/// Digits, which may be parted by spaces or hyphens.
fn number() -> impl Rule<String, String> {
    let schema = || json!({"type": "string", "pattern": "^[0-9]([ -]?[0-9]){11,18}$"});
    fields::rule(schema, |text: String| {
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        let long_enough = Brand::of(&digits).has_length(digits.len());
        match long_enough && digits.bytes().all(|c| c.is_ascii_digit()) && passes_luhn(&digits) {
            true => Ok(digits),
            false => Err("is not the number of a card".into()),
        }
    })
}

fn cvc() -> impl Rule<String, String> {
    let schema = || json!({"type": "string", "pattern": "^[0-9]{3,4}$"});
    fields::rule(schema, |text: String| {
        let digits = text.bytes().all(|c| c.is_ascii_digit());
        match digits && (3..=4).contains(&text.len()) {
            true => Ok(text),
            false => Err("must be the 3 or 4 digits on the card".into()),
        }
    })
}

/// A text without whatever may be the number of a card: each run of so many digits becomes `...`.
pub fn without_numbers(text: &str) -> String {
    let in_number = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '-');
    let mut rest = text;
    let mut cleaned = String::new();
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let run = &rest[start..];
        let run = &run[..run.find(|c| !in_number(c)).unwrap_or(run.len())];
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        cleaned.push_str(&rest[..start]);
        cleaned.push_str(if digits < 12 { run } else { "..." });
        rest = &rest[start + run.len()..];
    }
    cleaned + rest
}

/// ISO/IEC 7812-1, annex B: from the right, every other digit counts twice, and the sum ends in 0.
fn passes_luhn(digits: &str) -> bool {
    let values = digits.bytes().rev().map(|digit| u32::from(digit - b'0'));
    let sum: u32 = values
        .enumerate()
        .map(|(place, value)| match (place % 2, value * 2) {
            (0, _) => value,
            (_, doubled) => doubled / 10 + doubled % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether a month had ended, so many seconds after 1970. A card is good to the end of its month.
fn is_over(month: i64, year: i64, now: u64) -> bool {
    let (year, month) = match month {
        12 => (year + 1, 1),
        month => (year, month + 1),
    };
    i64::try_from(now).unwrap_or(i64::MAX) >= days_before(year, month) * 86_400
}

/// Days from 1970 to the first of a month of the Gregorian calendar. Years are counted from March, so that a leap day is
/// the last of its year.
fn days_before(year: i64, month: i64) -> i64 {
    let (year, months_since_march) = match month {
        1 | 2 => (year - 1, month + 9),
        month => (year, month - 3),
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days_of_months = (153 * months_since_march + 2) / 5;
    year * 365 + leap_days + days_of_months - 719_468
}

fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value;

    fn card(changes: Value) -> Value {
        let mut card = json!({"type": "card", "number": "4242424242424242", "exp_month": 12, "exp_year": 2099, "cvc": "123"});
        let changes = changes.as_object().unwrap().clone();
        card.as_object_mut().unwrap().extend(changes);
        card
    }

    /// The names of the fields that are refused.
    fn refused(changes: Value) -> Vec<String> {
        match fields::from_json::<Card>(card(changes)) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.into_iter().map(|error| error.field).collect(),
        }
    }

    #[test]
    fn numbers_are_told_by_brand_length_and_check_digit() {
        for (number, cvc, brand) in [
            ("4242424242424242", "123", Brand::Visa),
            ("4222222222222", "123", Brand::Visa),
            ("5555555555554444", "123", Brand::Mastercard),
            ("2223003122003222", "123", Brand::Mastercard),
            ("378282246310005", "1234", Brand::Amex),
            ("6011111111111117", "123", Brand::Discover),
            ("6445644564456445", "123", Brand::Discover),
            ("3530111333300000", "123", Brand::Other),
        ] {
            let card: Card =
                fields::from_json(card(json!({"number": number, "cvc": cvc}))).unwrap();
            assert_eq!(card.summary().brand, brand, "{number}");
            assert_eq!(card.summary().last4, number[number.len() - 4..]);
        }
        for number in [
            "4242424242424241",
            "42424242424242422",
            "424242424242",
            "37828224631000",
            "",
            "0",
            "abcdefghijklmnop",
            "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢",
            "424242424242424é",
        ] {
            assert_eq!(refused(json!({"number": number})), ["number"], "{number}");
        }
        assert!(refused(json!({"number": "4242 4242-4242 4242"})).is_empty());
    }

    #[test]
    fn the_cvc_is_as_long_as_the_brand_has_it() {
        assert_eq!(refused(json!({"cvc": "12"})), ["cvc"]);
        assert_eq!(refused(json!({"cvc": "1234"})), ["cvc"]);
        assert_eq!(refused(json!({"cvc": "12a"})), ["cvc"]);
        assert_eq!(refused(json!({"number": "378282246310005"})), ["cvc"]);
    }

    #[test]
    fn a_card_is_good_to_the_end_of_its_month() {
        let end_of_2026 = 1_798_761_600;
        assert!(!is_over(12, 2026, end_of_2026 - 1));
        assert!(is_over(12, 2026, end_of_2026));
        let end_of_february_2028 = 1_835_481_600;
        assert!(!is_over(2, 2028, end_of_february_2028 - 1));
        assert!(is_over(2, 2028, end_of_february_2028));
        assert_eq!(days_before(1970, 1), 0);
        assert_eq!(days_before(2000, 3), 11_017);
        assert_eq!(refused(json!({"exp_year": 2020})), ["exp_year"]);
        assert_eq!(refused(json!({"exp_month": 13})), ["exp_month"]);
        assert_eq!(refused(json!({"exp_year": 30})), ["exp_year"]);
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let errors = fields::from_json::<Card>(json!({"type": "cash", "cvc": 123})).unwrap_err();
        let names: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(names, ["type", "number", "exp_month", "exp_year", "cvc"]);
    }

    #[test]
    fn no_message_repeats_a_number() {
        for number in [
            json!("4242424242424241"),
            json!(4_242_424_242_424_242_u64),
            json!(["4242424242424242"]),
            json!({"4242424242424242": 1}),
            json!("4242424242424242 "),
        ] {
            let body = card(
                json!({"number": number, "exp_month": "4242424242424242", "cvc": 4242424242424242_u64}),
            );
            let errors = fields::from_json::<Card>(body).unwrap_err();
            assert!(!format!("{errors:?}").contains("4242"), "{errors:?}");
        }
    }

    #[test]
    fn numbers_are_taken_out_of_texts() {
        for (text, cleaned) in [
            ("", ""),
            ("no answer within 500 ms", "no answer within 500 ms"),
            ("it answered 401, after 2 s", "it answered 401, after 2 s"),
            ("4242424242424242", "..."),
            ("bank of 4242 4242-4242 4242: closed", "bank of ...: closed"),
            ("é4242424242424242é", "é...é"),
        ] {
            assert_eq!(without_numbers(text), cleaned);
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let card: Card = fields::from_json(card(json!({}))).unwrap();
        let token = CardToken {
            token: "tok_1".into(),
            card: card.summary(),
        };
        let printed = format!("{card:?} {:?} {token:?}", Token("tok_1".into()));
        assert!(
            !printed.contains("424242") && !printed.contains("tok_1"),
            "{printed}"
        );
    }
}
