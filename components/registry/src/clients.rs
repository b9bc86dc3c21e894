//! Calls to the instances.

use serde::Deserialize;

use crate::domain::Answer;

#[cfg(not(test))]
use network::ask;

#[cfg(test)]
use crate::tests::machine::ask;

/// Asks whoever listens at an address whether it is this service, and well. None where the manifest does not grant the address, so
/// that nobody can be asked.
pub async fn probe(address: &str, service: &str) -> Option<Answer> {
    match ask(format!("{address}/healthz")).await {
        Ok(body) => Some(judge(service, &body)),
        Err(Silence::NoAnswer) => Some(Answer::Failed),
        Err(Silence::NotGranted) => None,
    }
}

/// Why nothing was heard.
#[derive(Debug, Clone, Copy)]
pub enum Silence {
    /// No answer in time, or none that can be read.
    NoAnswer,
    /// The manifest does not grant the address.
    NotGranted,
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
    use spin_sdk::wasip3::http::types::ErrorCode;

    use super::Silence;

    /// How long a probe may take.
    const TIMEOUT: Duration = Duration::from_secs(1);

    /// The longest answer that is read. Whatever listens there, it cannot fill the memory.
    const ANSWER_LIMIT: usize = 4 * 1024;

    /// The body of a whole answer with 200 that comes in time.
    pub async fn ask(url: String) -> Result<Vec<u8>, Silence> {
        match select(pin!(exchange(url)), pin!(spin_sdk::time::sleep(TIMEOUT))).await {
            Either::Left((body, _)) => body,
            Either::Right(((), _)) => Err(Silence::NoAnswer),
        }
    }

    async fn exchange(url: String) -> Result<Vec<u8>, Silence> {
        let response = spin_sdk::http::get(url).await.map_err(why)?;
        if response.status() != 200 {
            return Err(Silence::NoAnswer);
        }
        let body = Limited::new(response.into_body(), ANSWER_LIMIT);
        match body.collect().await {
            Ok(body) => Ok(body.to_bytes().into()),
            Err(_) => Err(Silence::NoAnswer),
        }
    }

    fn why(error: ErrorCode) -> Silence {
        match error {
            ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
                Silence::NotGranted
            }
            _ => Silence::NoAnswer,
        }
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
