//! Asking instances how they are.
//!
//! A probe is claimed before it is made, so of several registries one makes it. What came of it is written down only where the claim
//! still holds: an instance that has been registered anew meanwhile is not judged by what its predecessor answered.

use futures::future::join_all;
use souk_store::Error;

use crate::background::now;
use crate::clients;
use crate::domain::Target;
use crate::store;

/// How many probes are made at a time.
const AT_ONCE: i64 = 16;

/// For how long one goes on where there is always another one due, in milliseconds.
const PATIENCE: i64 = 10_000;

/// Probes all instances that are due.
pub async fn probe_due() -> Result<(), Error> {
    let until = now() + PATIENCE;
    while now() < until {
        let due = store::claim(AT_ONCE).await?;
        if due.is_empty() {
            break;
        }
        let outcomes: Result<Vec<()>, Error> =
            join_all(due.iter().map(probe)).await.into_iter().collect();
        outcomes?;
    }
    Ok(())
}

async fn probe(target: &Target) -> Result<(), Error> {
    match clients::probe(&target.address, &target.service).await {
        Some(answer) => store::probed(target, target.condition.after(answer)).await,
        // Then its lease alone says whether it is there.
        None => Ok(()),
    }
}
