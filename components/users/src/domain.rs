//! Types and rules, without I/O.

mod addresses;
mod backoff;
mod guessable;
mod refresh_token;

pub use addresses::{Address, AddressBody};
pub use backoff::{Client, Counter, of_account, of_user};
pub use refresh_token::{RefreshToken, Secret};

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use souk_access::Role;
use souk_chassis::fields::{self, Fields, FromFields, Rule};
use souk_chassis::page;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// How long a refresh token is good for, in days; each refresh begins anew.
pub const REFRESH_DAYS: i64 = 30;

/// For how many seconds the refresh token that was spent last leads to the same successor.
pub const REFRESH_AGAIN_SECONDS: i64 = 10;

/// How many days of signing a key has.
pub const SIGNING_KEY_DAYS: i64 = 30;

/// An e-mail address, without spaces around it and in lower case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// One that was read before.
    pub fn kept(text: String) -> Self {
        Self(text)
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

/// The longest address that mail can be sent to (RFC 5321).
const EMAIL_LENGTH: usize = 254;

/// What a local part may have beside letters, digits and single dots (RFC 5322, `atext`).
const ATEXT: &str = "!#$%&'*+/=?^_`{|}~-";

/// The shape of an address, as [`parse_email`] checks it.
const EMAIL_PATTERN: &str = concat!(
    r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@",
    r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
);

/// Reads an e-mail address: ASCII, without quoted local parts, with a dot in its domain. (Whether it exists only mail can tell.)
pub fn parse_email(text: &str) -> Result<Email, String> {
    let text = text.trim();
    let wrong = || Err("must be an e-mail address".to_owned());
    let Some((local, domain)) = text.rsplit_once('@') else {
        return wrong();
    };
    let atext = |c: char| c.is_ascii_alphanumeric() || ATEXT.contains(c);
    let local_is_fine = local
        .split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(atext));
    let domain_is_fine = domain.contains('.') && domain.split('.').all(is_label);
    match text.len() <= EMAIL_LENGTH && local_is_fine && domain_is_fine {
        true => Ok(Email(text.to_ascii_lowercase())),
        false => wrong(),
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || c == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn email() -> impl Rule<String, Email> {
    let schema = || json!({"type": "string", "format": "email", "maxLength": EMAIL_LENGTH, "pattern": EMAIL_PATTERN});
    fields::rule(schema, |text: String| parse_email(&text))
}

/// A password as it was typed. It is not shown.
#[derive(Clone, Default)]
pub struct Password(String);

impl Password {
    /// What was typed.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Compares without telling by its timing where the two differ.
    pub fn is(&self, other: &Self) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self(password)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

const MIN_PASSWORD: usize = 10;
const MAX_PASSWORD: usize = 128;

/// A password that is to be kept.
fn new_password() -> impl Rule<String, Password> {
    password_of(MIN_PASSWORD)
}

/// A password that is to be compared.
fn present_password() -> impl Rule<String, Password> {
    password_of(1)
}

fn password_of(min: usize) -> impl Rule<String, Password> {
    let schema = move || json!({"type": "string", "format": "password", "minLength": min, "maxLength": MAX_PASSWORD});
    fields::rule(schema, move |text: String| match text.chars().count() {
        length if (min..=MAX_PASSWORD).contains(&length) => Ok(Password(text)),
        _ => Err(format!("must have {min} to {MAX_PASSWORD} characters")),
    })
}

fn name() -> impl Rule<String, String> {
    fields::line(1..=100)
}

/// The body of `POST /api/users`.
#[derive(Debug)]
pub struct NewUser {
    pub email: Email,
    pub password: Password,
    pub name: String,
}

impl FromFields for NewUser {
    fn from_fields(fields: &mut Fields) -> Self {
        let new = Self {
            email: fields.required("email", email()),
            password: fields.required("password", new_password()),
            name: fields.required("name", name()),
        };
        if let Err(detail) = check_guessable(&new.password, new.email.as_str(), &new.name) {
            fields.error("password", detail);
        }
        new
    }
}

/// Refuses a password that anybody would try early on with an account of this e-mail address and name.
pub fn check_guessable(password: &Password, email: &str, name: &str) -> Result<(), String> {
    match guessable::is_guessable(&password.0, email, name) {
        true => Err("is too easy to guess".into()),
        false => Ok(()),
    }
}

/// The body of `POST /api/sessions`. An address of the wrong shape is one that nobody has.
#[derive(Debug)]
pub struct Credentials {
    pub email: Email,
    pub password: Password,
}

impl FromFields for Credentials {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            email: fields.required("email", any_email()),
            password: fields.required("password", present_password()),
        }
    }
}

fn any_email() -> impl Rule<String, Email> {
    let schema = || json!({"type": "string", "minLength": 1, "maxLength": EMAIL_LENGTH});
    fields::rule(schema, |text: String| match text.chars().count() {
        1..=EMAIL_LENGTH => Ok(Email(text.trim().to_ascii_lowercase())),
        _ => Err(format!("must have 1 to {EMAIL_LENGTH} characters")),
    })
}

/// The body of `PATCH /api/users/me`.
#[derive(Debug)]
pub struct NameChange {
    pub name: Option<String>,
}

impl FromFields for NameChange {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            name: fields.optional("name", name()),
        }
    }
}

/// The body of `POST /api/users/me/password`.
#[derive(Debug)]
pub struct PasswordChange {
    pub current: Password,
    pub new: Password,
}

impl FromFields for PasswordChange {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            current: fields.required("current_password", present_password()),
            new: fields.required("new_password", new_password()),
        }
    }
}

/// The body of `PATCH /api/users/{id}`.
#[derive(Debug)]
pub struct RoleChange {
    pub role: Option<Role>,
}

impl FromFields for RoleChange {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            role: fields.required("role", fields::one_of(&["customer", "admin"])),
        }
    }
}

/// Which accounts are asked for.
#[derive(Debug)]
pub struct UserFilter {
    /// How their e-mail address begins, in lower case.
    pub email_prefix: Option<String>,
    /// The last one of the page before.
    pub after: Option<Uuid>,
    pub limit: i64,
}

impl FromFields for UserFilter {
    fn from_fields(fields: &mut Fields) -> Self {
        let prefix = fields.optional("q", fields::line(1..=EMAIL_LENGTH));
        Self {
            email_prefix: prefix.map(|prefix| prefix.to_ascii_lowercase()),
            after: fields.optional("cursor", page::cursor()),
            limit: fields
                .optional("limit", page::limit())
                .unwrap_or(page::DEFAULT_LIMIT),
        }
    }
}

/// An account.
#[derive(Serialize, JsonSchema)]
pub struct User {
    /// Its id.
    pub id: String,
    /// The e-mail address to log in with.
    pub email: String,
    /// What the person is called.
    pub name: String,
    /// What the person may do.
    #[schemars(with = "String", extend("enum" = ["customer", "admin"]))]
    pub role: Role,
    /// When it was opened.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}

/// How to write to somebody.
#[derive(Serialize, JsonSchema)]
pub struct Contact {
    /// The e-mail address.
    pub email: String,
}

/// A session: what begins with a login and goes on as long as its tokens are refreshed.
#[derive(Serialize, JsonSchema)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// When it began.
    pub created_at: String,
    /// When its tokens were last refreshed.
    pub refreshed_at: String,
    /// When it ends unless they are refreshed again.
    pub expires_at: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// A place that an account has been logged in from, which is kept so that others cannot lock its owner out there.
#[derive(Serialize, JsonSchema)]
pub struct KnownClient {
    /// A hash of the e-mail address and the client's address.
    pub client: String,
    /// When that was last.
    pub last_at: String,
}

/// Everything that is kept here about somebody; beside it there is the hash of the password.
#[derive(Serialize, JsonSchema)]
pub struct Export {
    /// The account.
    pub user: User,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// Its sessions.
    pub sessions: Vec<Session>,
    /// Where it has been logged in to.
    pub known_clients: Vec<KnownClient>,
}

/// A role as it is written in the database.
pub fn role_text(role: Role) -> &'static str {
    match role {
        Role::Customer => "customer",
        Role::Admin => "admin",
    }
}

/// Reads a role from the database.
pub fn role_from(text: &str) -> Option<Role> {
    Role::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text)).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_email_is_known_in_any_case_and_with_spaces() {
        let email = parse_email("  Ada.Lovelace+shop@Example.ORG ").unwrap();
        assert_eq!(email.as_str(), "ada.lovelace+shop@example.org");
        for sane in [
            "a@b.co",
            "o'neil@example.org",
            "x_y-z@sub.example.co.uk",
            "1@xn--bcher-kva.example",
        ] {
            assert_eq!(parse_email(sane).unwrap().as_str(), sane);
        }
    }

    #[test]
    fn what_is_no_email_is_refused() {
        let long = format!("{}@example.org", "a".repeat(243));
        let label = format!("a@{}.org", "b".repeat(64));
        for odd in [
            "",
            "@",
            "a",
            "a@",
            "@b.co",
            "a@b",
            "a@@b.co",
            "a b@c.co",
            "a@b c.co",
            ".a@b.co",
            "a.@b.co",
            "a..b@c.co",
            "a@.b.co",
            "a@b.co.",
            "a@-b.co",
            "a@b-.co",
            "\"a\"@b.co",
            "a@[1.2.3.4]",
            "ä@b.co",
            "a@ä.co",
            "a\n@b.co",
            "a@b.co\r\nBcc: x",
            "a@b_c.co",
            &long,
            &label,
        ] {
            assert!(parse_email(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn the_contract_has_the_same_rule_for_emails() {
        let validator = jsonschema::draft202012::new(&email().schema()).unwrap();
        for text in [
            "a@b.co",
            "a.b+c@d-e.f.gh",
            "o'neil@example.org",
            "a@b",
            "a..b@c.co",
            ".a@b.co",
            "a@-b.co",
            "a@b.c-",
            "a b@c.co",
            "ä@b.co",
            "@b.co",
        ] {
            assert_eq!(
                validator.is_valid(&json!(text)),
                parse_email(text).is_ok(),
                "{text}"
            );
        }
    }

    fn errors(body: serde_json::Value) -> Vec<String> {
        let errors = fields::from_json::<NewUser>(body).unwrap_err();
        errors.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn an_account_names_every_bad_field() {
        assert_eq!(errors(json!({})), ["email", "password", "name"]);
        assert_eq!(
            errors(json!({"email": "a", "password": "short", "name": "a\nb"})),
            ["email", "password", "name"]
        );
        let good = json!({"email": "a@b.co", "password": "correct horse", "name": "Ada"});
        assert!(fields::from_json::<NewUser>(good).is_ok());
    }

    #[test]
    fn a_password_is_measured_in_characters() {
        let check = |text: &str| new_password().check(text.to_owned()).is_ok();
        assert!(check("ëëëëëëëëëë") && !check("ëëëëëëëëë"));
        assert!(check(&"é".repeat(128)) && !check(&"é".repeat(129)));
    }

    #[test]
    fn secrets_are_not_shown() {
        let body = json!({"email": "ada@example.org", "password": "correct horse", "name": "Ada"});
        let shown = format!("{:?}", fields::from_json::<NewUser>(body).unwrap());
        assert!(
            !shown.contains("ada@") && !shown.contains("horse"),
            "{shown}"
        );
    }

    #[test]
    fn roles_are_written_as_they_are_read() {
        for role in [Role::Customer, Role::Admin] {
            assert_eq!(role_from(role_text(role)), Some(role));
        }
        assert_eq!(role_from("root"), None);
    }
}
