//! What the operator sets.

use souk_chassis::Problem;

use crate::domain::{self, Email, Password};

/// The first administrator, from the variables `admin_email` and `admin_password`.
pub struct FirstAdmin {
    /// Nobody can register this address.
    pub email: Option<Email>,
    /// Without a password the account is not made.
    pub password: Option<Password>,
}

/// Reads the variables. An address that is none is like an empty one, and said in the log.
pub async fn first_admin() -> Result<FirstAdmin, Problem> {
    let email = variable("admin_email").await?;
    let password = variable("admin_password").await?;
    let email = match email.trim() {
        "" => None,
        email => domain::parse_email(email)
            .inspect_err(|_| tracing::warn!("the variable admin_email is no e-mail address"))
            .ok(),
    };
    let password = (!password.is_empty()).then(|| Password::from(password));
    Ok(FirstAdmin { email, password })
}

#[cfg(not(test))]
async fn variable(name: &'static str) -> Result<String, Problem> {
    let value = souk_chassis::variables::get(name).await?;
    Ok(value.as_deref().unwrap_or_default().to_owned())
}

/// There are no variables outside Spin; a test says what they are.
#[cfg(test)]
async fn variable(name: &'static str) -> Result<String, Problem> {
    Ok(tests::VARIABLES.with_borrow(|variables| variables.get(name).cloned().unwrap_or_default()))
}

#[cfg(test)]
pub mod tests {
    use std::cell::RefCell;
    use std::collections::HashMap;

    thread_local! {
        pub static VARIABLES: RefCell<HashMap<&'static str, String>> = RefCell::default();
    }

    /// Sets a variable for this test.
    pub fn set(name: &'static str, value: &str) {
        VARIABLES.with_borrow_mut(|variables| variables.insert(name, value.into()));
    }
}
