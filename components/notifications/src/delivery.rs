//! Sending what is due on a channel.
//!
//! A delivery is claimed before it is sent: whoever has it leased alone sends it. What came of it is written down afterwards. Where
//! that does not happen, because an instance ended, the lease runs out, and it is sent again under the same id.

use futures::future::join_all;
use souk_chassis::backoff::Backoff;
use souk_chassis::{Context, Problem, background};
use souk_store::Error;

use crate::channels::{Channel, Failure};
use crate::domain::{ATTEMPTS, Delivery};
use crate::store;

/// How many deliveries of a channel are sent at a time.
const AT_ONCE: i64 = 4;

/// For how long one goes on with a channel on which there is always more, in milliseconds.
const PATIENCE: i64 = 10_000;

/// From five seconds up to an hour: all attempts together go on for some hours.
const BACKOFF: Backoff = Backoff {
    first: 5_000,
    longest: 3_600_000,
};

/// Sends what is due on a channel, a few at a time. When none of these comes through, whoever is on the other side is not well,
/// and the rest waits for the next time.
pub async fn deliver<C: Channel>(context: &Context) -> Result<(), Problem> {
    let until = background::now() + PATIENCE;
    while background::now() < until {
        let due = store::claim(C::NAME, AT_ONCE).await?;
        if due.is_empty() {
            break;
        }
        let channel = C::open().await?;
        let attempts = due
            .iter()
            .map(|due| attempt(context, channel.as_ref(), due));
        let answered: Result<Vec<bool>, Error> = join_all(attempts).await.into_iter().collect();
        if !answered?.contains(&true) {
            break;
        }
    }
    Ok(())
}

/// Sends a delivery and writes down what came of it. Says whether the other side gave an answer that decides it.
async fn attempt<C: Channel>(
    context: &Context,
    channel: Option<&C>,
    delivery: &Delivery,
) -> Result<bool, Error> {
    let outcome = match channel {
        Some(channel) => channel.send(context, delivery).await,
        None => Err(Failure::Never("the channel is off".into())),
    };
    match outcome {
        Ok(()) => store::sent(delivery).await?,
        Err(Failure::Never(why)) => park::<C>(delivery, &why).await?,
        Err(Failure::Again(why)) => {
            match delivery.attempts < ATTEMPTS {
                true => store::postpone(delivery, BACKOFF.after(delivery.attempts), &why).await?,
                false => park::<C>(delivery, &why).await?,
            }
            return Ok(false);
        }
    }
    Ok(true)
}

async fn park<C: Channel>(delivery: &Delivery, why: &str) -> Result<(), Error> {
    let (channel, id) = (C::NAME, &delivery.id);
    tracing::warn!(channel, delivery = %id, error = why, "a delivery is given up");
    store::park(delivery, why).await
}
