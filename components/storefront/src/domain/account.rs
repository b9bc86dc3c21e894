//! Accounts as the pages show them: profile, addresses, notifications.

use serde::{Deserialize, Serialize};

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    /// What to log in with.
    pub email: String,
    /// What the person is called.
    pub name: String,
    /// What the person may do: `customer` or `admin`.
    pub role: String,
}

impl User {
    /// Whether they look after the shop.
    pub fn is_operator(&self) -> bool {
        self.role == "admin"
    }
}

/// Where parcels go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postal {
    /// Whose name is on the door.
    pub name: String,
    /// Street and number.
    pub line1: String,
    /// What else it takes to find the door.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// City or town.
    pub city: String,
    /// Postal code.
    pub postal_code: String,
    /// State, province or county.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// ISO 3166-1 alpha-2 code.
    pub country: String,
    /// Telephone number for the carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

impl Postal {
    /// The fields of a form that have to be filled in.
    pub const REQUIRED: [&str; 5] = ["name", "line1", "postal_code", "city", "country"];

    /// As it is written on a parcel.
    pub fn lines(&self) -> Vec<String> {
        let town = format!("{} {}", self.postal_code, self.city);
        let country = country(&self.country).to_owned();
        let lines = [
            Some(self.name.clone()),
            Some(self.line1.clone()),
            self.line2.clone(),
            Some(town),
            self.region.clone(),
            Some(country),
        ];
        let lines = lines.into_iter().flatten();
        lines.filter(|line| !line.trim().is_empty()).collect()
    }
}

/// An address of an account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Address {
    /// Its id.
    pub id: String,
    /// Where it is.
    #[serde(flatten)]
    pub postal: Postal,
    /// Whether it is taken where no other is chosen.
    pub default: bool,
}

/// The addresses of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Addresses {
    /// All of them.
    pub items: Vec<Address>,
}

impl Addresses {
    /// The address with this id.
    pub fn find(&self, id: &str) -> Option<&Address> {
        self.items.iter().find(|address| address.id == id)
    }
}

/// Something the shop has told a customer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Notification {
    /// Its id.
    pub id: String,
    /// The order it is about.
    pub order_id: Option<String>,
    /// In a few words.
    pub title: String,
    /// What it says.
    pub text: String,
    /// When it came.
    pub created_at: String,
    /// When it was read.
    pub read_at: Option<String>,
}

/// One page of notifications.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Notifications {
    /// Those of this page, newest first.
    pub items: Vec<Notification>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

/// Where the shop sends to.
#[rustfmt::skip]
pub const COUNTRIES: [(&str, &str); 38] = [
    ("AU", "Australia"), ("AT", "Austria"), ("BE", "Belgium"), ("BG", "Bulgaria"), ("CA", "Canada"), ("HR", "Croatia"),
    ("CY", "Cyprus"), ("CZ", "Czechia"), ("DK", "Denmark"), ("EE", "Estonia"), ("FI", "Finland"), ("FR", "France"),
    ("DE", "Germany"), ("GR", "Greece"), ("HU", "Hungary"), ("IS", "Iceland"), ("IE", "Ireland"), ("IT", "Italy"),
    ("JP", "Japan"), ("LV", "Latvia"), ("LI", "Liechtenstein"), ("LT", "Lithuania"), ("LU", "Luxembourg"), ("MT", "Malta"),
    ("NL", "Netherlands"), ("NZ", "New Zealand"), ("NO", "Norway"), ("PL", "Poland"), ("PT", "Portugal"), ("RO", "Romania"),
    ("SK", "Slovakia"), ("SI", "Slovenia"), ("ES", "Spain"), ("SE", "Sweden"), ("CH", "Switzerland"), ("TR", "Türkiye"),
    ("GB", "United Kingdom"), ("US", "United States"),
];

/// The name of a country; its code where the shop does not send there.
pub fn country(code: &str) -> &str {
    let known = COUNTRIES.iter().find(|(known, _)| *known == code);
    known.map_or(code, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_on_a_parcel() {
        let address = Postal {
            name: "Ada".into(),
            line1: "Market Street 1".into(),
            line2: Some(" ".into()),
            city: "Berlin".into(),
            postal_code: "10115".into(),
            country: "DE".into(),
            ..Postal::default()
        };
        assert_eq!(
            address.lines(),
            ["Ada", "Market Street 1", "10115 Berlin", "Germany"]
        );
        assert_eq!(country("XK"), "XK");
    }
}
