//! Addresses.

use souk_chassis::PostalAddress;
use souk_store::{Error, FromRow, Row, Value, text};
use uuid::Uuid;

use super::{DATABASE, did, returned};
use crate::domain::{Address, AddressBody};

/// The columns of an [`Address`], in the order it is read.
macro_rules! address {
    () => {
        "id, name, line1, line2, city, postal_code, region, country, phone, is_default, created_at, updated_at"
    };
}

impl FromRow for Address {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.take()?,
            postal: PostalAddress {
                name: row.take()?,
                line1: row.take()?,
                line2: row.take()?,
                city: row.take()?,
                postal_code: row.take()?,
                region: row.take()?,
                country: row.take()?,
                phone: row.take()?,
            },
            default: row.take()?,
            created_at: row.take()?,
            updated_at: row.take()?,
        })
    }
}

pub async fn list(user: Uuid) -> Result<Vec<Address>, Error> {
    const SQL: &str = concat!(
        "SELECT ",
        address!(),
        " FROM addresses WHERE user_id = ?1 ORDER BY id"
    );
    DATABASE.read(SQL, [text(user)]).await
}

pub async fn find(user: Uuid, id: Uuid) -> Result<Option<Address>, Error> {
    const SQL: &str = concat!(
        "SELECT ",
        address!(),
        " FROM addresses WHERE user_id = ?1 AND id = ?2"
    );
    DATABASE.read_one(SQL, [text(user), text(id)]).await
}

/// Adds an address; the first one is the default. The error violates `addresses_are_bounded` where there are too many, and
/// `addresses_are_of_accounts` where the account has gone.
pub async fn insert(user: Uuid, body: &AddressBody) -> Result<Address, Error> {
    const SQL: &str = concat!(
        "INSERT INTO addresses (user_id, id, name, line1, line2, city, postal_code, region, country, phone, is_default) ",
        "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ",
        "?11 OR NOT EXISTS (SELECT 1 FROM addresses WHERE user_id = ?1) RETURNING ",
        address!()
    );
    returned(
        DATABASE
            .write_one(SQL, parameters(user, Uuid::now_v7(), body))
            .await?,
    )
}

/// Changes an address of this user; `None` where there is none.
pub async fn replace(user: Uuid, id: Uuid, body: &AddressBody) -> Result<Option<Address>, Error> {
    const SQL: &str = concat!(
        "UPDATE addresses SET name = ?3, line1 = ?4, line2 = ?5, city = ?6, postal_code = ?7, region = ?8, country = ?9, ",
        "phone = ?10, is_default = is_default OR ?11, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ') ",
        "WHERE user_id = ?1 AND id = ?2 RETURNING ",
        address!()
    );
    DATABASE.write_one(SQL, parameters(user, id, body)).await
}

/// Deletes an address of this user; says whether there was one.
pub async fn delete(user: Uuid, id: Uuid) -> Result<bool, Error> {
    const SQL: &str = "DELETE FROM addresses WHERE user_id = ?1 AND id = ?2 RETURNING id";
    did(SQL, [text(user), text(id)]).await
}

fn parameters(user: Uuid, id: Uuid, body: &AddressBody) -> [Value; 11] {
    [
        text(user),
        text(id),
        body.postal.name.as_str().into(),
        body.postal.line1.as_str().into(),
        body.postal.line2.as_deref().into(),
        body.postal.city.as_str().into(),
        body.postal.postal_code.as_str().into(),
        body.postal.region.as_deref().into(),
        body.postal.country.as_str().into(),
        body.postal.phone.as_deref().into(),
        i64::from(body.default).into(),
    ]
}
