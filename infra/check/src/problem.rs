//! What is wrong, where, and what to do about it.

use std::fmt;

/// Something that is wrong, on one line.
#[derive(Debug)]
pub struct Problem {
    /// The file in which it is to be put right, relative to the root of the repository.
    pub file: String,
    /// The object, such as `SpinApp/souk-users`.
    pub object: String,
    /// The field, as a path of names.
    pub field: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            object,
            field,
            advice,
        } = self;
        write!(out, "{file}: {object}: {field}: {advice}")
    }
}

/// For tests: whether there is exactly one problem, and it says all of this.
#[cfg(test)]
pub fn assert_one(problems: &[Problem], words: &[&str]) {
    let [problem] = problems else {
        panic!("not one problem: {problems:#?}");
    };
    let text = problem.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}
