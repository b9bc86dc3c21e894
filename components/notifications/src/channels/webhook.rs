//! A webhook, as [Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)
//! has it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;
use souk_chassis::context::now;
use souk_chassis::{Context, Problem};
use uuid::Uuid;

use super::{Channel, Failure};
use crate::clients::{self, Post};
use crate::domain::Delivery;
use crate::settings::{self, Hook};

/// On where there is a secret to sign with.
pub struct Webhook(Hook);

impl Channel for Webhook {
    const NAME: &'static str = "webhook";

    async fn open() -> Result<Option<Self>, Problem> {
        Ok(settings::hook().await?.map(Self))
    }

    fn reaches(&self, _: Option<Uuid>) -> bool {
        true
    }

    async fn send(&self, _: &Context, delivery: &Delivery) -> Result<(), Failure> {
        let (body, timestamp) = (body(delivery), now().to_string());
        let signature = sign(&self.0.secret, &delivery.id, &timestamp, &body);
        let signature =
            signature.ok_or_else(|| Failure::Never("webhook_secret is no base64".into()))?;
        let post = Post {
            url: self.0.url.clone(),
            headers: vec![
                ("webhook-id", delivery.id.clone()),
                ("webhook-timestamp", timestamp),
                ("webhook-signature", signature),
            ],
            body,
        };
        clients::post("the webhook", post).await
    }
}

/// The same for each attempt, since its time is that of the notification.
fn body(delivery: &Delivery) -> String {
    let message = &delivery.message;
    json!({
        "id": delivery.id,
        "type": "notification",
        "timestamp": message.created_at,
        "data": {
            "notification_id": message.notification_id,
            "kind": message.kind,
            "user_id": message.user_id,
            "order_id": message.order_id,
            "title": message.title,
            "text": message.text,
        },
    })
    .to_string()
}

/// `v1,` and the HMAC of what is signed. A secret that begins with `whsec_` is base64; none where the rest is not.
fn sign(secret: &str, id: &str, timestamp: &str, body: &str) -> Option<String> {
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => BASE64.decode(encoded).ok()?,
        None => secret.as_bytes().to_vec(),
    };
    let mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    let signed = mac.chain_update(format!("{id}.{timestamp}.{body}"));
    let signature = BASE64.encode(signed.finalize().into_bytes());
    Some(format!("v1,{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the reference implementations.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let signature = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(
            signature.as_deref(),
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
    }

    #[test]
    fn a_secret_is_base64_only_where_it_says_so() {
        assert!(sign("any text!", "i", "1", "{}").is_some());
        assert!(sign("whsec_any text!", "i", "1", "{}").is_none());
    }
}
