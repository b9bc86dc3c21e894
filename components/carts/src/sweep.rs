//! Deleting the carts of guests who do not come back.
//!
//! The store cannot say which entries are old, only which there are. A guest's id tells when it was made, so only carts that
//! are old enough to have expired are read. One instance at a time looks through them, some at a time, and notes where it stopped.

use souk_chassis::context::now;
use uuid::Uuid;

use crate::domain::{Closed, GUEST_LIFETIME};
use crate::store::{self, Error, Owner, Step, Sweep};

/// Carts that are read in one go.
const BATCH: usize = 50;

/// Seconds until more are read where there were more.
const SOON: u64 = 60;

/// Seconds until the search begins anew.
const LATER: u64 = 6 * 60 * 60;

/// Deletes some carts that have expired, if it is time to.
pub async fn sweep() -> Result<(), Error> {
    let now = now();
    if store::next_sweep()? > now {
        return Ok(());
    }
    // Whoever changes the entry first does the work.
    let claimed = store::change_sweep(|sweep| match sweep.unwrap_or_default() {
        Sweep { due, .. } if due > now => Step::Leave(None),
        Sweep { after, .. } => {
            let due = now + SOON;
            Step::Write(Sweep { due, after }, Some(after))
        }
    });
    let Some(after) = claimed.await? else {
        return Ok(());
    };

    let old = old_enough(store::guests()?, after, now);
    for guest in old.iter().take(BATCH) {
        delete_if_expired(*guest, now).await?;
    }
    let next = match old.get(BATCH) {
        Some(_) => Sweep {
            due: now + SOON,
            after: Some(old[BATCH - 1]),
        },
        None => Sweep {
            due: now + LATER,
            after: None,
        },
    };
    let write = |_| Step::Write(Sweep { ..next }, ());
    store::change_sweep(write).await
}

/// The guests whose carts may have expired, of those that come after this one.
fn old_enough(mut guests: Vec<Uuid>, after: Option<Uuid>, now: u64) -> Vec<Uuid> {
    guests.retain(|guest| {
        let made = guest.get_timestamp().map_or(0, |made| made.to_unix().0);
        made + GUEST_LIFETIME <= now && Some(*guest) > after
    });
    guests.sort_unstable();
    guests
}

/// Closes the cart first, so that nobody puts anything into what is being deleted.
async fn delete_if_expired(guest: Uuid, now: u64) -> Result<(), Error> {
    let owner = Owner::Guest(guest);
    let closed = store::change(&owner, |cart| match cart {
        Some(mut cart) if cart.has_expired(now, GUEST_LIFETIME) => match cart.closed {
            Some(_) => Step::Leave(true),
            None => {
                cart.close(Closed::Expired);
                Step::Write(cart, true)
            }
        },
        _ => Step::Leave(false),
    });
    match closed.await? {
        true => store::delete(guest),
        false => Ok(()),
    }
}

/// Does it beside a request, also after its answer.
#[cfg(not(test))]
pub fn spawn() {
    souk_chassis::background::later(async {
        if let Err(error) = sweep().await {
            tracing::error!(%error, "old carts cannot be swept");
        }
    });
}

/// Nothing is beside a test.
#[cfg(test)]
pub fn spawn() {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::Cart;
    use futures::executor::block_on;
    use souk_keyvalue::memory as bucket;
    use uuid::{NoContext, Timestamp};

    /// A guest whose cart was made and changed so many seconds ago.
    fn guest(made: u64, changed: u64) -> Uuid {
        let id = Uuid::new_v7(Timestamp::from_unix(NoContext, now() - made, 0));
        let cart = Cart {
            changed_at: now() - changed,
            ..Cart::default()
        };
        store::create(id, &cart).unwrap();
        id
    }

    fn is_there(guest: Uuid) -> bool {
        store::find(&Owner::Guest(guest)).unwrap().is_some()
    }

    fn run() -> Sweep {
        block_on(sweep()).unwrap();
        serde_json::from_slice(&bucket::value("sweep").unwrap()).unwrap()
    }

    const OLD: u64 = GUEST_LIFETIME + 60;

    #[test]
    fn carts_that_have_expired_are_deleted() {
        let expired = guest(OLD, OLD);
        let kept = [guest(OLD, 60), guest(60, 60), guest(60, OLD)];
        let closed = guest(OLD, OLD);
        let close = |cart: Option<Cart>| {
            let mut cart = cart.unwrap();
            cart.close(Closed::Into("somebody".into()));
            Step::Write(cart, ())
        };
        block_on(store::change(&Owner::Guest(closed), close)).unwrap();
        assert!(run().due > now() + SOON);
        assert!(!is_there(expired));
        assert!(!is_there(closed));
        assert!(kept.into_iter().all(is_there));
    }

    #[test]
    fn many_are_deleted_bit_by_bit() {
        let guests: Vec<_> = (0..BATCH as u64 + 3).map(|n| guest(OLD + n, OLD)).collect();
        let left = || guests.iter().filter(|guest| is_there(**guest)).count();
        let next = run();
        assert_eq!(left(), 3);
        assert!(next.after.is_some() && next.due <= now() + SOON);
        run();
        assert_eq!(left(), 3, "it is not due yet");
        bucket::write(
            "sweep",
            format!(r#"{{"due":0,"after":"{}"}}"#, next.after.unwrap()).as_bytes(),
        );
        assert_eq!(run().after, None);
        assert_eq!(left(), 0);
    }

    #[test]
    fn a_cart_that_its_guest_comes_back_to_stays() {
        let expired = guest(OLD, OLD);
        bucket::write("sweep", br#"{"due":0,"after":null}"#);
        // The first swap is the sweep's own.
        bucket::before_swap(|| {});
        bucket::before_swap(move || {
            let cart = Cart {
                version: 9,
                changed_at: now(),
                ..Cart::default()
            };
            store::create(expired, &cart).unwrap();
        });
        run();
        assert!(is_there(expired));
    }

    #[test]
    fn claims_that_were_left_behind_are_deleted() {
        let this_minute = now() / 60;
        for minute in [0, this_minute - 2, this_minute] {
            bucket::write(&format!("claim:{minute}:account:x"), &1i64.to_le_bytes());
        }
        run();
        assert_eq!(
            bucket::keys("claim:"),
            [format!("claim:{this_minute}:account:x")]
        );
    }
}
