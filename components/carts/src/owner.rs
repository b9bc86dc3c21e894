//! Whose cart a request is about, and what becomes of a guest's cart when its guest signs in.
//!
//! A guest's cart goes over to the account in three steps, each harmless to repeat:
//!
//! 1. It is closed for this account. From then on nothing is put into it any more, and no other account gets it.
//! 2. The account's cart takes its lines over and notes its id, in one compare-and-swap. One whose id is noted is not taken over again.
//! 3. It is deleted, and the browser told to forget its cookie.
//!
//! After a crash in between, the next request that brings the token goes on: the browser has not been told to forget it.

use http::header::HeaderMap;
use souk_chassis::{Context, Problem};
use uuid::Uuid;

use crate::domain::{ACCOUNT_LIFETIME, Cart, Closed, GUEST_LIFETIME, Line};
use crate::store::{self, Owner, Step};
use crate::token;

/// Whose cart a request is about.
pub struct Caller {
    /// None for a guest who has none yet.
    pub owner: Option<Owner>,
    /// Whether the request brought a cookie that is of no use any more.
    pub forgets_cookie: bool,
    /// Products of a guest's cart that the account's had no place for.
    pub left_out: usize,
}

/// Finds out whose cart a request is about. Where a signed-in user brings a guest's token, merges the two carts first.
pub async fn of(context: &Context, headers: &HeaderMap, now: u64) -> Result<Caller, Problem> {
    let guest = token::guest(headers)?;
    let caller = context.caller.as_ref();
    let Some(user) = caller.and_then(|caller| caller.user.clone()) else {
        return Ok(Caller {
            owner: guest.map(Owner::Guest),
            forgets_cookie: false,
            left_out: 0,
        });
    };
    let left_out = match guest {
        Some(guest) => merge(guest, &user, now).await?,
        None => 0,
    };
    Ok(Caller {
        owner: Some(Owner::Account(user)),
        forgets_cookie: token::cookie(headers).is_some(),
        left_out,
    })
}

/// The cart as its owner sees it now; none of a guest who has none (any more).
pub fn find(owner: &Owner, now: u64) -> Result<Option<Cart>, store::Error> {
    Ok(seen(owner, store::find(owner)?, now))
}

/// Changes a cart as its owner sees it. Nothing comes of it where a guest has none (any more).
pub async fn change<T>(
    owner: &Owner,
    now: u64,
    mut step: impl FnMut(Cart) -> Step<Cart, T>,
) -> Result<Option<T>, store::Error> {
    store::change(owner, |cart| match seen(owner, cart, now).map(&mut step) {
        None => Step::Leave(None),
        Some(Step::Leave(result)) => Step::Leave(Some(result)),
        Some(Step::Write(cart, result)) => Step::Write(cart, Some(result)),
    })
    .await
}

fn seen(owner: &Owner, cart: Option<Cart>, now: u64) -> Option<Cart> {
    match owner {
        Owner::Account(_) => Some(cart.unwrap_or_default().at(now, ACCOUNT_LIFETIME)),
        Owner::Guest(_) => cart
            .filter(|cart| cart.closed.is_none())
            .map(|cart| cart.at(now, GUEST_LIFETIME)),
    }
}

/// Lets an account's cart take a guest's over. Returns how many products it had no place for.
async fn merge(guest: Uuid, user: &str, now: u64) -> Result<usize, store::Error> {
    // The usual case, with a token that was merged long ago: one read.
    if store::find(&Owner::Guest(guest))?.is_none() {
        return Ok(0);
    }
    let Some(lines) = close(guest, user, now).await? else {
        return Ok(0);
    };
    let left_out = take_over(guest, &lines, user, now).await?;
    store::delete(guest)?;
    Ok(left_out)
}

/// Closes a guest's cart for an account. Returns what is in it, or nothing if it is not to be had.
async fn close(guest: Uuid, user: &str, now: u64) -> Result<Option<Vec<Line>>, store::Error> {
    store::change(&Owner::Guest(guest), |cart| match cart {
        None => Step::Leave(None),
        Some(cart) if cart.closed == Some(Closed::Into(user.into())) => {
            Step::Leave(Some(cart.lines))
        }
        Some(cart) if cart.closed.is_some() => Step::Leave(None),
        Some(cart) => {
            let mut cart = cart.at(now, GUEST_LIFETIME);
            cart.close(Closed::Into(user.into()));
            let lines = cart.lines.clone();
            Step::Write(cart, Some(lines))
        }
    })
    .await
}

async fn take_over(
    guest: Uuid,
    lines: &[Line],
    user: &str,
    now: u64,
) -> Result<usize, store::Error> {
    if lines.is_empty() {
        return Ok(0);
    }
    let account = Owner::Account(user.into());
    let merged = change(&account, now, |mut cart| {
        match cart.merge(guest, lines, now) {
            Some(left_out) => Step::Write(cart, left_out),
            None => Step::Leave(0),
        }
    });
    Ok(merged.await?.unwrap_or_default())
}
