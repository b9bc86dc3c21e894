//! What the operator sets.

use souk_chassis::Problem;

/// An HTTP mail API.
pub struct Mail {
    /// Where a mail is posted to.
    pub url: String,
    pub key: String,
    pub from: String,
    /// Who gets what is for the administrators.
    pub admin_to: Option<String>,
}

/// Who wants to hear of notifications.
pub struct Hook {
    /// Where they are posted to.
    pub url: String,
    /// What they are signed with.
    pub secret: String,
}

/// The mail API; none where it has no key.
pub async fn mail() -> Result<Option<Mail>, Problem> {
    let key = variable("mail_api_key").await?;
    if key.is_empty() {
        return Ok(None);
    }
    let admin_to = variable("mail_admin_to").await?;
    Ok(Some(Mail {
        url: format!("{}/emails", origin("mail_api_origin").await?),
        key,
        from: variable("mail_from").await?,
        admin_to: (!admin_to.is_empty()).then_some(admin_to),
    }))
}

/// The webhook; none where it has no secret.
pub async fn hook() -> Result<Option<Hook>, Problem> {
    let secret = variable("webhook_secret").await?;
    if secret.is_empty() {
        return Ok(None);
    }
    let path = variable("webhook_path").await?;
    let origin = origin("webhook_origin").await?;
    Ok(Some(Hook {
        url: format!("{origin}/{}", path.trim_start_matches('/')),
        secret,
    }))
}

async fn origin(name: &'static str) -> Result<String, Problem> {
    let origin = variable(name).await?;
    Ok(origin.trim_end_matches('/').to_owned())
}

async fn variable(name: &'static str) -> Result<String, Problem> {
    let value = read(name).await?;
    Ok(value.trim().to_owned())
}

#[cfg(not(test))]
async fn read(name: &'static str) -> Result<String, Problem> {
    let value = souk_chassis::variables::get(name).await?;
    Ok(value.as_deref().unwrap_or_default().to_owned())
}

/// There are no variables outside Spin; a test says what they are.
#[cfg(test)]
async fn read(name: &'static str) -> Result<String, Problem> {
    Ok(tests::VARIABLES.with_borrow(|variables| variables.get(name).cloned().unwrap_or_default()))
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;
    use std::cell::RefCell;
    use std::collections::HashMap;

    thread_local! {
        pub static VARIABLES: RefCell<HashMap<&'static str, String>> = RefCell::default();
    }

    /// Sets a variable for this test.
    pub fn set(name: &'static str, value: &str) {
        VARIABLES.with_borrow_mut(|variables| variables.insert(name, value.into()));
    }

    #[test]
    fn without_a_key_there_is_no_mail_and_without_a_secret_no_webhook() {
        set("mail_api_origin", "https://mail.example");
        set("webhook_origin", "https://hooks.example");
        assert!(block_on(mail()).unwrap().is_none());
        assert!(block_on(hook()).unwrap().is_none());
    }

    #[test]
    fn an_origin_and_a_path_are_joined_by_one_slash() {
        set("mail_api_key", "k");
        set("webhook_secret", "s");
        for (origin, path) in [
            ("https://x.example", "/in"),
            ("https://x.example/", "in"),
            (" https://x.example", "/in "),
        ] {
            set("mail_api_origin", origin);
            set("webhook_origin", origin);
            set("webhook_path", path);
            let url = block_on(mail()).unwrap().unwrap().url;
            assert_eq!(url, "https://x.example/emails");
            let url = block_on(hook()).unwrap().unwrap().url;
            assert_eq!(url, "https://x.example/in");
        }
    }
}
