//! Passwords that are tried first.
//!
//! A list of everything that was ever leaked would be larger than the service, and slower than it should be. This is what is
//! left of the usual lists when everything with less than ten characters is gone, in a form that covers the variants:
//! patterns by what makes them patterns, words with whatever digits and signs are put behind them.

/// Words that people make passwords of when something longer is wanted, and runs of keys beside each other.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "1q2w3e4r5t", "1q2w3e4r5t6y", "1qaz2wsx3edc", "1qazxsw23edc", "a1b2c3d4e5", "abc123abc", "access", "adgjmptw", "admin",
    "administrator", "adobe123", "asdfasdf", "asdfghjk", "asdfghjkl", "ashley", "azerty", "azertyuiop", "babygirl",
    "bailey", "baseball", "basketball", "batman", "butterfly", "charlie", "chelsea", "chocolate", "computer", "default",
    "dragon", "flower", "football", "freedom", "hello", "helloworld", "hottie", "iloveyou", "iloveyouso", "internet",
    "jennifer", "jessica", "jordan", "letmein", "liverpool", "login", "loveme", "lovely", "master", "michael", "michelle",
    "monkey", "mustang", "mypassword", "newpassword", "ninja", "nothing", "pass", "passw0rd", "passwort", "password",
    "passwordpassword", "pokemon", "princess", "q1w2e3r4t5", "q1w2e3r4t5y6", "qazwsx", "qazwsxedc", "qazwsxedcrfv",
    "qweasdzxc", "qwer1234", "qwerasdf", "qwert", "qwerty", "qwertyqwerty", "qwertyui", "qwertyuiop", "qwertz",
    "qwertzuiop", "secret", "shadow", "shop", "solo", "souk", "starwars", "summer", "winter", "sunshine", "superman",
    "supersecret", "test", "testtest", "trustno", "unknown", "welcome", "whatever", "winner", "zaq12wsx", "zxcvbn",
    "zxcvbnm", "motdepasse", "contraseña", "geheim", "changeme", "changeit", "iloveu", "lovelove", "mother", "father",
    "family", "soccer", "hunter", "killer", "thomas", "robert", "daniel", "matrix", "samsung", "google", "facebook",
    "amazon", "linkedin", "minecraft", "blink182", "arsenal", "barcelona",
];

/// Fewer different characters than this are a pattern, however long it is.
const DISTINCT: usize = 5;

/// Whether a password is one that is tried early.
pub fn is_guessable(password: &str, email: &str, name: &str) -> bool {
    if password.is_empty() {
        return false; // It is missing, which is another mistake.
    }
    let password = password.to_lowercase();
    let local = email.split('@').next().unwrap_or_default();
    is_pattern(&password)
        || is_built_on(&password, &[email, local, &name.to_lowercase()])
        || is_built_on(&password, WORDS)
}

/// A few characters over and over, or a run through the alphabet or the digits.
fn is_pattern(password: &str) -> bool {
    let characters: Vec<char> = password.chars().collect();
    let mut distinct = characters.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let steps = |step: i32| {
        let pairs = characters.windows(2);
        let run = pairs.filter(|pair| pair[1] as i32 - pair[0] as i32 == step);
        // "1234567890" makes one step that is none, and "abcabcabcabc" several.
        3 * run.count() >= 2 * (characters.len() - 1)
    };
    distinct.len() < DISTINCT || steps(1) || steps(-1)
}

/// One of these words, perhaps twice, with anything but letters around it.
fn is_built_on(password: &str, words: &[&str]) -> bool {
    let bare = |text: &str| text.trim_matches(|c: char| !c.is_alphabetic()).to_owned();
    let core = bare(password);
    words.iter().filter(|word| !word.is_empty()).any(|word| {
        let word_core = bare(word);
        *password == **word
            || (!word_core.is_empty() && (core == word_core || core == word_core.repeat(2)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_first_is_refused() {
        for common in [
            "1234567890",
            "0987654321",
            "12345678910",
            "1111111111",
            "abcdefghij",
            "1212121212",
            "abcabcabcabc",
            "password123",
            "Password1234!",
            "qwertyuiop",
            "QWERTYUIOP123",
            "1q2w3e4r5t",
            "1qaz2wsx3edc",
            "iloveyou123",
            "letmein12345",
            "passw0rd2024",
            "admin12345",
            "!!!password!!!",
            "qwerty123456",
            "welcome2025",
            "sunshine99",
            "trustno1234",
            "testtest123",
        ] {
            assert!(
                is_guessable(common, "ada@example.org", "Ada Lovelace"),
                "{common}"
            );
        }
    }

    #[test]
    fn what_names_the_account_is_refused() {
        for own in [
            "ada.lovelace",
            "Ada.Lovelace",
            "ada.lovelace1815",
            "ada.lovelace@example.org",
            "Ada Lovelace",
            "adalovelace@",
        ] {
            let guessable = is_guessable(own, "ada.lovelace@example.org", "Ada Lovelace");
            assert_eq!(guessable, own != "adalovelace@", "{own}");
        }
    }

    #[test]
    fn everything_else_is_fine() {
        for fine in [
            "correct horse",
            "ada likes tea",
            "passwords are hard",
            "x7#kQ!2pLm",
            "blauer Elefant",
            "天地玄黃宇宙洪荒日月",
            "1815-12-10 london",
        ] {
            assert!(
                !is_guessable(fine, "ada@example.org", "Ada Lovelace"),
                "{fine}"
            );
        }
        assert!(!is_guessable("correct horse", "", ""));
    }
}
