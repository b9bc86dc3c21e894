//! The ways out. A new one is a [`Channel`] and a line in each of the two functions below.

mod email;
mod inbox;
mod webhook;

use futures::future::join;
use souk_chassis::{Context, Problem};
use uuid::Uuid;

use crate::delivery::deliver;
use crate::domain::Delivery;
use email::Email;
use inbox::Inbox;
use webhook::Webhook;

/// A way on which notifications go out.
pub trait Channel: Sized {
    /// What its deliveries are known by.
    const NAME: &'static str;

    /// The channel as the operator has set it up; none where it is off.
    async fn open() -> Result<Option<Self>, Problem>;

    /// Whether it reaches a user, or, where none is given, the administrators.
    fn reaches(&self, user: Option<Uuid>) -> bool;

    /// Sends a notification. The same delivery again, under the same id, has no further effect.
    async fn send(&self, context: &Context, delivery: &Delivery) -> Result<(), Failure>;
}

/// Why a notification did not go out. It is shown to administrators and told to other services, so nothing personal is in it.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may go out later.
    Again(String),
    /// It never will, as things are.
    Never(String),
}

/// The names of the channels that are on and reach a user, or, where none is given, the administrators.
pub async fn reaching(user: Option<Uuid>) -> Result<Vec<&'static str>, Problem> {
    let names = [
        name_if_reaching::<Inbox>(user).await?,
        name_if_reaching::<Email>(user).await?,
        name_if_reaching::<Webhook>(user).await?,
    ];
    Ok(names.into_iter().flatten().collect())
}

async fn name_if_reaching<C: Channel>(user: Option<Uuid>) -> Result<Option<&'static str>, Problem> {
    let reaching = C::open().await?.filter(|channel| channel.reaches(user));
    Ok(reaching.map(|_| C::NAME))
}

/// Sends what is due on every channel that has something to send; none waits for another.
pub async fn deliver_due(context: &Context) -> Result<(), Problem> {
    let (email, webhook) = join(deliver::<Email>(context), deliver::<Webhook>(context)).await;
    email.and(webhook)
}
