//! What stands around the attempts of a call: the bulkhead, the breaker, and the rules of trying again.

use std::time::Instant;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use souk_chassis::context::REQUEST_ID;
use souk_resilience::Policy;
use souk_resilience::backoff::full_jitter;
use souk_resilience::breaker::{Admission, Outcome};

use crate::attempt::Attempt;
use crate::discovery;
use crate::shared::Known;
use crate::{CallError, bulkhead, time};

/// How well a call is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// By everything there is.
    Full,
    /// By its timeout alone.
    None,
}

type Answer = Result<Response<Body>, CallError>;

impl Guard {
    /// Makes a call; `make` makes the request, again for each attempt.
    pub async fn call(
        self,
        attempt: &Attempt<'_>,
        repeatable: bool,
        mut make: impl FnMut() -> Request<Body>,
    ) -> Answer {
        match self {
            Self::Full => guarded(attempt, repeatable, make).await,
            Self::None => {
                let target = discovery::resolve(attempt.context, attempt.policy.service).await?;
                attempt.make(&target.any()?, make()).await
            }
        }
    }
}

async fn guarded(
    attempt: &Attempt<'_>,
    repeatable: bool,
    make: impl FnMut() -> Request<Body>,
) -> Answer {
    let policy = attempt.policy;
    let service = || policy.service.to_owned();
    let Some(_place) = bulkhead::enter(policy).await else {
        return Err(CallError::Full { service: service() });
    };
    let known = Known::of(attempt.context.service, policy.service);
    let trial = match known.admits() {
        Admission::Pass => false,
        Admission::Trial => true,
        Admission::Refused(retry_after_ms) => {
            let service = service();
            return Err(CallError::Open {
                service,
                retry_after_ms,
            });
        }
    };
    let begun = Instant::now();
    // A trial is one attempt: it is to find out, not to succeed.
    let answer = attempts(attempt, &known, repeatable && !trial, make).await;
    let took_ms = begun.elapsed().as_millis();
    if let Some(outcome) = outcome(policy, &answer, took_ms) {
        log(policy.service, outcome, &answer, took_ms);
        match trial {
            true => known.end_trial(outcome),
            false => known.note(outcome),
        }
    }
    answer
}

/// Says of a call that was not good what the breaker counts, under a name by which those are found again.
fn log(service: &str, outcome: Outcome, answer: &Answer, took_ms: u128) {
    let how = match outcome {
        Outcome::Good => return,
        Outcome::Slow => "slow",
        Outcome::Failed => "failed",
    };
    let why = match answer {
        Ok(response) => response.status().to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(call = format!("{how}:{service}"), %why, took_ms, "a call was not good");
}

/// What a call says about the service; nothing, where it was not the service's doing.
///
/// A service that answers and says so is well, also when it says that somebody else it needs is not: that one's own breaker sees to it.
fn outcome(policy: &Policy, answer: &Answer, took_ms: u128) -> Option<Outcome> {
    match answer {
        Err(CallError::Caller(_) | CallError::TooLate { .. }) => None,
        Err(_) => Some(Outcome::Failed),
        Ok(response) if has_failed(response) => Some(Outcome::Failed),
        Ok(_) if took_ms >= u128::from(policy.slow_ms) => Some(Outcome::Slow),
        Ok(_) => Some(Outcome::Good),
    }
}

/// Whether a service has failed: it broke down, or it says itself, by 500, that it does not know what to do.
fn has_failed(response: &Response<Body>) -> bool {
    broke_down(response) || response.status() == StatusCode::INTERNAL_SERVER_ERROR
}

/// Whether an answer is not a service's own. Every service puts the request id on its answers, so a server error without it is the
/// host's, for a service that crashed, had no place left or took too long.
pub fn broke_down(response: &Response<Body>) -> bool {
    response.status().is_server_error() && !response.headers().contains_key(REQUEST_ID)
}

/// What is to be done after an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Nothing: this is the answer.
    Done,
    /// It never reached the service: it may be made elsewhere, and nobody is the worse for it.
    Elsewhere,
    /// It failed: it may be tried again, if it can be repeated.
    Again,
    /// It took too long: whoever waits is not to wait as long again for the same instance.
    AgainElsewhere,
}

fn next(answer: &Answer) -> Next {
    match answer {
        Err(CallError::Unreachable { .. }) => Next::Elsewhere,
        Err(CallError::Timeout { .. }) => Next::AgainElsewhere,
        Err(CallError::Answer { .. }) => Next::Again,
        Ok(response) if broke_down(response) => Next::Again,
        _ => Next::Done,
    }
}

async fn attempts(
    attempt: &Attempt<'_>,
    known: &Known,
    repeatable: bool,
    mut make: impl FnMut() -> Request<Body>,
) -> Answer {
    let (policy, context) = (attempt.policy, attempt.context);
    let target = discovery::resolve(context, policy.service).await?;
    let mut tried: Vec<String> = Vec::new();
    let mut made = 0;
    loop {
        let place = target.choose(known, &tried)?;
        let answer = attempt.make(&place, make()).await;
        made += 1;
        // The request itself may be gone with the attempt, unless it can be made again.
        let next = match repeatable {
            true => next(&answer),
            false => Next::Done,
        };
        match &answer {
            Ok(_) => place.tell(known, true),
            // Nobody was asked.
            Err(CallError::Caller(_) | CallError::TooLate { .. }) => {}
            Err(_) => place.tell(known, false),
        }
        tried.extend(place.id().map(str::to_owned));
        drop(place);
        let elsewhere = target.has_more_than(&tried);
        let retry = || made < policy.attempts && known.withdraw();
        let again = match next {
            Next::Done => false,
            Next::Elsewhere => elsewhere || retry(),
            Next::Again => retry(),
            Next::AgainElsewhere => elsewhere && retry(),
        };
        if !again {
            return answer;
        }
        if !elsewhere {
            time::sleep(full_jitter(made, time::random())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn answered(status: u16, by_a_service: bool) -> Answer {
        let mut response = Response::builder().status(status);
        if by_a_service {
            response = response.header(REQUEST_ID, "r1");
        }
        Ok(response.body(Body::empty()).unwrap())
    }

    fn failed(make: fn(String) -> CallError) -> Answer {
        Err(make("products".into()))
    }

    const TIMEOUT: fn(String) -> CallError = |service| CallError::Timeout {
        service,
        timeout_ms: 1,
    };
    const UNREACHABLE: fn(String) -> CallError = |service| CallError::Unreachable {
        service,
        cause: String::new(),
    };
    const BROKEN: fn(String) -> CallError = |service| CallError::Answer {
        service,
        cause: String::new(),
    };

    #[test]
    fn a_service_that_speaks_is_well() {
        let policy = Policy::row("products", 2_000, 2, 1_000, 8);
        let outcome = |answer: Answer, took| outcome(&policy, &answer, took);
        for status in [200, 404, 422, 429, 502, 503, 504] {
            assert_eq!(
                outcome(answered(status, true), 1),
                Some(Outcome::Good),
                "{status}"
            );
        }
        for status in [500, 502, 503, 504] {
            assert_eq!(
                outcome(answered(status, false), 1),
                Some(Outcome::Failed),
                "{status}"
            );
        }
        assert_eq!(outcome(answered(500, true), 1), Some(Outcome::Failed));
        assert_eq!(outcome(answered(200, true), 1_000), Some(Outcome::Slow));
        for error in [TIMEOUT, UNREACHABLE, BROKEN] {
            assert_eq!(outcome(failed(error), 1), Some(Outcome::Failed));
        }
        assert_eq!(outcome(failed(CallError::Caller), 1), None);
        assert_eq!(
            outcome(failed(|service| CallError::TooLate { service }), 1),
            None
        );
    }

    #[test]
    fn only_what_failed_on_the_way_is_tried_again() {
        for status in [200, 404, 500, 503] {
            assert_eq!(next(&answered(status, true)), Next::Done, "{status}");
        }
        for status in [500, 502, 503, 504] {
            assert_eq!(next(&answered(status, false)), Next::Again, "{status}");
        }
        assert_eq!(next(&answered(404, false)), Next::Done);
        assert_eq!(next(&failed(UNREACHABLE)), Next::Elsewhere);
        assert_eq!(next(&failed(TIMEOUT)), Next::AgainElsewhere);
        assert_eq!(next(&failed(BROKEN)), Next::Again);
        assert_eq!(next(&failed(CallError::Caller)), Next::Done);
    }
}
