//! Why a call brings no answer.

use souk_chassis::Problem;

/// Why a call to a service brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It did not answer in time.
    #[error("the service {service} did not answer within {timeout_ms} ms")]
    Timeout {
        /// The called service.
        service: String,
        /// How long it was waited for.
        timeout_ms: u32,
    },
    /// It was not called: whoever waits for it will have left before it could answer.
    #[error("there is no time left to call the service {service}")]
    TooLate {
        /// The called service.
        service: String,
    },
    /// It is not to be reached.
    #[error("the service {service} is not to be reached: {cause}")]
    Unreachable {
        /// The called service.
        service: String,
        /// What the host says.
        cause: String,
    },
    /// It was not called: it has been failing, and is left in peace.
    #[error("the service {service} has been failing and is not called for {retry_after_ms} ms")]
    Open {
        /// The called service.
        service: String,
        /// For how long.
        retry_after_ms: u32,
    },
    /// It was not called: enough calls to it are under way.
    #[error("too many calls to the service {service} are under way")]
    Full {
        /// The called service.
        service: String,
    },
    /// It broke off, or answered with something else than was expected.
    #[error("the service {service} gave an answer of no use: {cause}")]
    Answer {
        /// The called service.
        service: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The calling service cannot make the call.
    #[error("the call cannot be made: {0}")]
    Caller(String),
}

impl CallError {
    /// What a stranger may know of it.
    pub fn detail(&self) -> String {
        match self {
            Self::Timeout { service, .. } | Self::TooLate { service } => {
                format!("the service {service} did not answer in time")
            }
            Self::Unreachable { service, .. } => {
                format!("the service {service} is not to be reached")
            }
            Self::Open { service, .. } => format!("the service {service} is in trouble"),
            Self::Full { service } => format!("the service {service} is too busy"),
            Self::Answer { service, .. } => {
                format!("the service {service} gave an answer of no use")
            }
            Self::Caller(_) => "the call cannot be made".into(),
        }
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let detail = error.detail();
        match &error {
            CallError::Timeout { .. } | CallError::TooLate { .. } => {
                Problem::gateway_timeout(detail)
            }
            CallError::Open { retry_after_ms, .. } => {
                Problem::unavailable(detail, retry_after_ms.div_ceil(1_000).max(1))
            }
            CallError::Unreachable { .. } | CallError::Full { .. } => {
                Problem::unavailable(detail, 1)
            }
            CallError::Answer { .. } => Problem::bad_gateway(detail),
            CallError::Caller(_) => return Problem::internal(error),
        }
        .cause(error)
    }
}
