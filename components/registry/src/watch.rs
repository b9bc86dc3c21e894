//! Reading instances: at once, or when something has changed (a long poll).
//!
//! Who waits looks at the database every now and then: a read of two indexes. Nothing is shared between those who wait, so they
//! may be at any instance of the registry, and whoever makes a change need not know of them.

use std::time::Duration;

use souk_store::Error;

use crate::background::{self, now, sleep};
use crate::domain::{Filter, Instances};
use crate::store;

/// How often somebody who waits looks for a change.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is asked for: once it is newer than what the client knows, or when it has waited for as long as it wants to.
pub async fn instances(filter: &Filter) -> Result<Instances, Error> {
    let until = now() + filter.wait_ms;
    loop {
        let revision = settled_revision(filter).await?;
        if revision > filter.after || now() >= until {
            // The revision was read before the items, so it is never newer than they are, and no change is missed.
            let items = store::instances(&filter.services).await?;
            return Ok(Instances { revision, items });
        }
        // Whoever watches keeps the probes going too.
        background::nudge();
        sleep(LOOK_EVERY).await;
    }
}

/// The revision, after leases that have ended meanwhile are noted down as such, which is a change.
async fn settled_revision(filter: &Filter) -> Result<i64, Error> {
    let seen = store::revision(&filter.services).await?;
    // Where it cannot be noted down at the moment, the items still say who has expired.
    match seen.is_overdue && store::settle().await.is_ok() {
        true => Ok(store::revision(&filter.services).await?.revision),
        false => Ok(seen.revision),
    }
}
