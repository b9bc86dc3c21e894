//! What is wrong with a configuration, gathered so that one start shows all of it.

use std::fmt;

/// Everything that stops a start: each entry one line that names file, field and remedy.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// A list with a single entry.
    pub fn one(line: impl Into<String>) -> Self {
        Self(vec![line.into()])
    }

    /// Adds an entry.
    pub fn push(&mut self, line: impl Into<String>) {
        self.0.push(line.into());
    }

    /// Takes the value out of a result, or notes its problems, each once, and gives `None`.
    pub fn collect<T>(&mut self, result: Result<T, Problems>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(more) => {
                let known = |line: &String| self.0.contains(line);
                let new: Vec<_> = more.0.into_iter().filter(|line| !known(line)).collect();
                self.0.extend(new);
                None
            }
        }
    }

    /// Like [`Problems::collect`], with `place` (file and section) before each line.
    pub fn collect_in<T>(&mut self, place: &str, result: Result<T, Problems>) -> Option<T> {
        self.collect(
            result.map_err(|more| {
                Problems(more.0.iter().map(|line| format!("{place}{line}")).collect())
            }),
        )
    }

    /// The entries, each on one line.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|line| line.replace('\n', " "))
    }

    /// `Ok(value)` when nothing was noted.
    pub fn into_result<T>(self, value: T) -> Result<T, Problems> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, line) in self.lines().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "error: {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
