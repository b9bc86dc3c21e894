//! Calls to users, and to whoever sends mail and takes webhooks.

use serde::Deserialize;
use souk_chassis::Context;

use crate::channels::Failure;

#[cfg(not(test))]
use network::{ask_users, exchange};

#[cfg(test)]
use crate::tests::neighbours::{ask_users, exchange};

/// A JSON document that is posted to somebody outside the shop.
#[derive(Debug, Clone)]
pub struct Post {
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// Posts it. It is done when it is answered with 2xx; what another answer means is [judged](judge) by its status alone.
pub async fn post(whom: &str, post: Post) -> Result<(), Failure> {
    match exchange(post).await {
        Ok(status) => judge(whom, status),
        Err(why) => Err(Failure::Again(format!("{whom} {why}"))),
    }
}

fn judge(whom: &str, status: u16) -> Result<(), Failure> {
    let answered = format!("{whom} answered {status}");
    match status {
        200..300 => Ok(()),
        408 | 425 | 429 | 500.. => Err(Failure::Again(answered)),
        _ => Err(Failure::Never(answered)),
    }
}

/// What users says about how somebody is reached.
#[derive(Debug, Deserialize)]
struct Contact {
    email: String,
}

/// A user's address; none where the account is gone.
pub async fn email_of(context: &Context, user: &str) -> Result<Option<String>, Failure> {
    let path = format!("/internal/users/{user}/contact");
    let again = |why: String| Failure::Again(format!("the service users {why}"));
    let reply = ask_users(context, &path).await.map_err(again)?;
    match reply.status {
        200 => {
            let contact = Contact::deserialize(reply.body);
            let contact = contact.map_err(|_| again("gave an answer of no use".into()))?;
            Ok(Some(contact.email))
        }
        404 => Ok(None),
        status => Err(again(format!("answered {status}"))),
    }
}

/// What a service answered.
pub struct Reply {
    pub status: u16,
    /// Null where it is no success.
    pub body: serde_json::Value,
}

#[cfg(not(test))]
mod network {
    use std::pin::pin;
    use std::time::Duration;

    use futures::future::{Either, select};
    use http::Request;
    use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
    use souk_chassis::Context;
    use souk_client::{Call, CallError, Policies, Policy};

    use super::{Post, Reply};

    /// How long an answer is waited for. With the question to users before it, a send takes far less than its lease.
    const TIMEOUT: Duration = Duration::from_secs(5);

    /// How long users may take, in milliseconds.
    #[rustfmt::skip]
    const POLICIES: Policies = Policies(&[
        //           of       timeout  attempts  slow from  at once
        Policy::row("users",  2_000,   2,        2_000,     8),
    ]);

    /// Sends it, and gives the status of the answer, or says in words for administrators why there is none.
    pub async fn exchange(post: Post) -> Result<u16, String> {
        match select(pin!(send(post)), pin!(spin_sdk::time::sleep(TIMEOUT))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => {
                Err(format!("did not answer within {} ms", TIMEOUT.as_millis()))
            }
        }
    }

    async fn send(post: Post) -> Result<u16, String> {
        let mut request = Request::post(post.url)
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, post.body.len());
        for (name, value) in post.headers {
            request = request.header(name, value);
        }
        let request = request.body(post.body);
        let request = request.map_err(|_| "cannot be asked: a setting is wrong".to_owned())?;
        let response = spin_sdk::http::send(request).await;
        let response = response.map_err(|error| format!("is not to be reached: {error}"))?;
        Ok(response.status().as_u16())
    }

    /// Makes a request of users.
    pub async fn ask_users(context: &Context, path: &str) -> Result<Reply, String> {
        let context = context.unhurried();
        let call = Call::get(&context, POLICIES.to("users"), path);
        let why = |error: CallError| match error {
            CallError::Timeout { .. } | CallError::TooLate { .. } => "did not answer in time",
            CallError::Unreachable { .. } => "is not to be reached",
            CallError::Open { .. } | CallError::Full { .. } => "is in trouble",
            CallError::Answer { .. } => "gave an answer of no use",
            CallError::Caller(_) => "cannot be asked",
        };
        let response = call.send().await.map_err(why)?;
        let status = response.status().as_u16();
        let body = match status {
            200 => response.json().await.map_err(why)?,
            _ => serde_json::Value::Null,
        };
        Ok(Reply { status, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_to_try_again() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judge("it", status), Ok(()));
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            let again = Failure::Again(format!("it answered {status}"));
            assert_eq!(judge("it", status), Err(again));
        }
        for status in [301, 304, 400, 401, 403, 404, 410, 422] {
            let never = Failure::Never(format!("it answered {status}"));
            assert_eq!(judge("it", status), Err(never));
        }
    }
}
