//! The inbox: what `GET /api/notifications` shows.

use souk_chassis::{Context, Problem};
use uuid::Uuid;

use super::{Channel, Failure};
use crate::domain::Delivery;

/// It is always on, and there is nothing to send: a notification is in it from the moment it is made.
pub struct Inbox;

impl Channel for Inbox {
    const NAME: &'static str = "inbox";

    async fn open() -> Result<Option<Self>, Problem> {
        Ok(Some(Self))
    }

    fn reaches(&self, _: Option<Uuid>) -> bool {
        true
    }

    async fn send(&self, _: &Context, _: &Delivery) -> Result<(), Failure> {
        Ok(())
    }
}
