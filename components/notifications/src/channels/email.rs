//! E-mail, through an HTTP mail API in the style that Resend made common.

use serde_json::json;
use souk_chassis::{Context, Problem};
use uuid::Uuid;

use super::{Channel, Failure};
use crate::clients::{self, Post};
use crate::domain::{Delivery, Message};
use crate::settings::{self, Mail};

/// On where the mail API has a key. Where a mail goes is asked for when it is sent, and kept nowhere.
pub struct Email(Mail);

impl Channel for Email {
    const NAME: &'static str = "email";

    async fn open() -> Result<Option<Self>, Problem> {
        Ok(settings::mail().await?.map(Self))
    }

    fn reaches(&self, user: Option<Uuid>) -> bool {
        user.is_some() || self.0.admin_to.is_some()
    }

    async fn send(&self, context: &Context, delivery: &Delivery) -> Result<(), Failure> {
        let message = &delivery.message;
        let to = self.recipient(context, message).await?;
        let to = to.ok_or_else(|| Failure::Never("no recipient".into()))?;
        let mail = json!({
            "from": self.0.from, "to": to, "subject": message.title, "text": message.text, "html": message.html,
        });
        let post = Post {
            url: self.0.url.clone(),
            headers: vec![
                ("authorization", format!("Bearer {}", self.0.key)),
                ("idempotency-key", delivery.id.clone()),
            ],
            body: mail.to_string(),
        };
        clients::post("the mail API", post).await
    }
}

impl Email {
    /// Whom to write to; nobody where the account is gone.
    async fn recipient(
        &self,
        context: &Context,
        message: &Message,
    ) -> Result<Option<String>, Failure> {
        match &message.user_id {
            Some(user) => clients::email_of(context, user).await,
            None => Ok(self.0.admin_to.clone()),
        }
    }
}
