//! Telling the other services that an account is deleted, so that they erase what is personal too.
//!
//! Whom they have yet to be told of is in the database, by the statement that deletes the account. The request that deletes it
//! tells them at once where it can; the tick does what is left.

use souk_chassis::{Context, Problem};

use crate::clients;
use crate::store::users;

/// How many deletions are told of at a time.
const BATCH: i64 = 16;

/// Tells of the accounts that are deleted. One that cannot be told of now is told of later.
pub async fn tell(context: &Context) -> Result<(), Problem> {
    for user in users::erasures(BATCH).await? {
        if clients::erase_orders(context, &user).await {
            users::told(&user).await?;
        }
    }
    Ok(())
}
