//! Calls to the instances.

use serde::Deserialize;

use crate::domain::Answer;

#[cfg(not(test))]
use network::ask;

#[cfg(test)]
use crate::tests::machine::ask;

/// Asks whoever listens at an address whether it is this service, and well.
pub async fn probe(address: &str, service: &str) -> Answer {
    match ask(format!("{address}/healthz")).await {
        Some(body) => judge(service, &body),
        None => Answer::Failed,
    }
}

/// What a Souk service says at `/healthz`.
#[derive(Deserialize)]
struct Health {
    status: String,
    service: String,
}

fn judge(service: &str, body: &[u8]) -> Answer {
    match serde_json::from_slice::<Health>(body) {
        Ok(health) if health.service != service => Answer::Another,
        Ok(health) if health.status == "ok" => Answer::Well,
        _ => Answer::Failed,
    }
}

#[cfg(not(test))]
mod network {
    use std::pin::pin;
    use std::time::Duration;

    use futures::future::{Either, select};
    use http_body_util::{BodyExt, Limited};

    /// How long a probe may take.
    const TIMEOUT: Duration = Duration::from_secs(1);

    /// The longest answer that is read. Whatever listens there, it cannot fill the memory.
    const ANSWER_LIMIT: usize = 4 * 1024;

    /// The body of a whole answer with 200 that comes in time.
    pub async fn ask(url: String) -> Option<Vec<u8>> {
        match select(pin!(exchange(url)), pin!(spin_sdk::time::sleep(TIMEOUT))).await {
            Either::Left((body, _)) => body,
            Either::Right(((), _)) => None,
        }
    }

    async fn exchange(url: String) -> Option<Vec<u8>> {
        let response = spin_sdk::http::get(url).await.ok()?;
        if response.status() != 200 {
            return None;
        }
        let body = Limited::new(response.into_body(), ANSWER_LIMIT);
        Some(body.collect().await.ok()?.to_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_the_name_and_the_status_in_it() {
        for (body, answer) in [
            (r#"{"status":"ok","service":"carts"}"#, Answer::Well),
            (
                r#"{"status":"ok","service":"carts","more":1}"#,
                Answer::Well,
            ),
            (r#"{"status":"ok","service":"users"}"#, Answer::Another),
            (r#"{"status":"down","service":"users"}"#, Answer::Another),
            (r#"{"status":"down","service":"carts"}"#, Answer::Failed),
            (r#"{"status":"ok"}"#, Answer::Failed),
            ("<html>", Answer::Failed),
            ("", Answer::Failed),
        ] {
            assert_eq!(judge("carts", body.as_bytes()), answer, "{body}");
        }
    }
}
