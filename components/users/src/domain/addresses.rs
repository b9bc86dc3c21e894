//! Addresses.

use schemars::JsonSchema;
use serde::Serialize;
use souk_chassis::PostalAddress;
use souk_chassis::fields::{self, Fields, FromFields};

/// An address as it is sent in.
pub struct AddressBody {
    pub postal: PostalAddress,
    /// Whether it takes the place of the default address. The one that is the default stays it until another does.
    pub default: bool,
}

impl FromFields for AddressBody {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            postal: PostalAddress::from_fields(fields),
            default: fields
                .optional("default", fields::boolean())
                .unwrap_or(false),
        }
    }
}

/// An address of an account.
#[derive(Serialize, JsonSchema)]
pub struct Address {
    /// Its id.
    pub id: String,
    /// Where it is.
    #[serde(flatten)]
    pub postal: PostalAddress,
    /// Whether it is taken where no other is chosen; one of an account's addresses always is.
    pub default: bool,
    /// When it was added.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}
