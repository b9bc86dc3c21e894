//! Postal addresses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::fields::{self, Fields, FromFields, Rule};

/// The officially assigned codes of ISO 3166-1.
#[rustfmt::skip]
const COUNTRIES: &[&str] = &[
    "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ", "BA", "BB", "BD", "BE", "BF",
    "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS", "BT", "BV", "BW", "BY", "BZ", "CA", "CC", "CD", "CF", "CG",
    "CH", "CI", "CK", "CL", "CM", "CN", "CO", "CR", "CU", "CV", "CW", "CX", "CY", "CZ", "DE", "DJ", "DK", "DM", "DO", "DZ", "EC",
    "EE", "EG", "EH", "ER", "ES", "ET", "FI", "FJ", "FK", "FM", "FO", "FR", "GA", "GB", "GD", "GE", "GF", "GG", "GH", "GI", "GL",
    "GM", "GN", "GP", "GQ", "GR", "GS", "GT", "GU", "GW", "GY", "HK", "HM", "HN", "HR", "HT", "HU", "ID", "IE", "IL", "IM", "IN",
    "IO", "IQ", "IR", "IS", "IT", "JE", "JM", "JO", "JP", "KE", "KG", "KH", "KI", "KM", "KN", "KP", "KR", "KW", "KY", "KZ", "LA",
    "LB", "LC", "LI", "LK", "LR", "LS", "LT", "LU", "LV", "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK", "ML", "MM", "MN",
    "MO", "MP", "MQ", "MR", "MS", "MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA", "NC", "NE", "NF", "NG", "NI", "NL", "NO", "NP",
    "NR", "NU", "NZ", "OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM", "PN", "PR", "PS", "PT", "PW", "PY", "QA", "RE", "RO",
    "RS", "RU", "RW", "SA", "SB", "SC", "SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL", "SM", "SN", "SO", "SR", "SS", "ST", "SV",
    "SX", "SY", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO", "TR", "TT", "TV", "TW", "TZ", "UA", "UG",
    "UM", "US", "UY", "UZ", "VA", "VC", "VE", "VG", "VI", "VN", "VU", "WF", "WS", "YE", "YT", "ZA", "ZM", "ZW",
];

/// Where somebody lives or gets their parcels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PostalAddress {
    /// Whose name is on the door.
    pub name: String,
    /// Street and number.
    pub line1: String,
    /// What else it takes to find the door.
    pub line2: Option<String>,
    /// City or town.
    pub city: String,
    /// Postal code.
    pub postal_code: String,
    /// State, province or county.
    pub region: Option<String>,
    /// ISO 3166-1 alpha-2 code.
    pub country: String,
    /// Telephone number for the carrier.
    pub phone: Option<String>,
}

impl FromFields for PostalAddress {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            name: fields.required("name", fields::line(1..=100)),
            line1: fields.required("line1", fields::line(1..=120)),
            line2: fields.optional("line2", fields::line(0..=120)),
            city: fields.required("city", fields::line(1..=100)),
            postal_code: fields.required("postal_code", fields::line(1..=16)),
            region: fields.optional("region", fields::line(0..=100)),
            country: fields.required("country", country()),
            phone: fields.optional("phone", phone()),
        }
    }
}

fn country() -> impl Rule<String, String> {
    fields::rule(
        || json!({"type": "string", "enum": COUNTRIES}),
        |code: String| match COUNTRIES.binary_search(&code.as_str()) {
            Ok(_) => Ok(code),
            Err(_) => Err("must be an ISO 3166-1 alpha-2 code, such as DE".into()),
        },
    )
}

fn phone() -> impl Rule<String, String> {
    fields::rule(
        || json!({"type": "string", "pattern": "^[+]?[0-9 ()./-]{4,30}$"}),
        |phone: String| {
            let number = phone.strip_prefix('+').unwrap_or(&phone);
            let allowed = |c: u8| c.is_ascii_digit() || b" ()./-".contains(&c);
            match (4..=30).contains(&number.len()) && number.bytes().all(allowed) {
                true => Ok(phone),
                false => Err("must be a telephone number, such as +44 20 7946 0000".into()),
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_sorted_codes() {
        assert_eq!(COUNTRIES.len(), 249);
        assert!(COUNTRIES.is_sorted_by(|a, b| a < b));
        for code in ["DE", "US", "ZW", "AD"] {
            assert!(country().check(code.into()).is_ok(), "{code}");
        }
        for code in ["", "D", "de", "DEU", "UK", "XX", "EU"] {
            assert!(country().check(code.into()).is_err(), "{code}");
        }
    }

    #[test]
    fn a_telephone_number_has_digits() {
        for number in ["+49 30 901820", "(020) 7946-0000", "112 5"] {
            assert!(phone().check(number.into()).is_ok(), "{number}");
        }
        for number in [
            "",
            "call me",
            "++49 30",
            "+49 30 901820 extension 5",
            "123",
            "0123456789012345678901234567890",
        ] {
            assert!(phone().check(number.into()).is_err(), "{number}");
        }
    }
}
