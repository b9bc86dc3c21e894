//! Reads what Rust's test harness prints, with `--show-output`, and keeps the score.

use std::io::{BufRead, Write};

/// The score of a suite.
#[derive(Debug, Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    /// What failed, each with as much of a reason as there is.
    pub failures: Vec<String>,
    /// What could not run, each with its reason.
    pub skips: Vec<String>,
}

impl Tally {
    /// A suite that could not run at all.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self {
            skipped: 1,
            skips: vec![reason.into()],
            ..Self::default()
        }
    }

    /// Counts something that failed outside the harness (it did not compile, a check was not met).
    pub fn fail(&mut self, reason: impl Into<String>) {
        self.failed += 1;
        self.failures.push(reason.into());
    }

    /// Whether anything was tried.
    pub fn ran(&self) -> bool {
        self.passed + self.failed > 0
    }

    /// Adds another score.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
        self.skips.extend(other.skips);
    }
}

/// Follows the output of one `cargo test`, passing on all but the chatter of tests that passed.
///
/// A test that finds it cannot run here prints `SKIPPED: <reason>` on a line of its own and returns; the harness shows
/// that among the output of the tests that passed, under the name of the test.
pub fn follow(output: impl BufRead, mut screen: impl Write) -> std::io::Result<Tally> {
    let mut tally = Tally::default();
    let mut in_successes = false;
    let mut test: Option<String> = None;
    for line in output.split(b'\n') {
        let line = line?;
        let text = String::from_utf8_lossy(&line);
        match text.as_ref() {
            "successes:" => in_successes = true,
            "failures:" => in_successes = false,
            result if result.starts_with("test result: ") => {
                in_successes = false;
                tally.passed += count(result, " passed");
                tally.failed += count(result, " failed");
                tally.skipped += count(result, " ignored");
            }
            _ => {}
        }
        if in_successes {
            if let Some(name) = text
                .strip_prefix("---- ")
                .and_then(|rest| rest.strip_suffix(" stdout ----"))
            {
                test = Some(name.to_owned());
            } else if let Some(reason) = text.trim().strip_prefix("SKIPPED: ")
                // Taken, so that a test counts once however often it says so.
                && let Some(name) = test.take()
            {
                tally.skips.push(format!("{name}: {reason}"));
            }
            continue;
        }
        if let Some(name) = text
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            tally.failures.push(name.to_owned());
        }
        screen.write_all(&line)?;
        screen.write_all(b"\n")?;
    }
    // The harness counts tests that said they were skipped as passed.
    let said_so = tally.skips.len();
    tally.passed = tally.passed.saturating_sub(said_so);
    tally.skipped += said_so;
    Ok(tally)
}

/// The number before `what` in "test result: ok. 3 passed; 0 failed; ...".
fn count(result: &str, what: &str) -> usize {
    let before = result.split(what).next().filter(|before| *before != result);
    before
        .and_then(|before| before.rsplit(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 4 tests
test api::reads ... ok
test api::writes ... FAILED
test slow ... ignored
test browser::opens ... ok

successes:

---- browser::opens stdout ----
looking for a browser
SKIPPED: no Chromium
SKIPPED: no Chromium


successes:
    api::reads
    browser::opens

failures:

---- api::writes stdout ----
boom

failures:
    api::writes

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 1 test
test other ... ok

successes:

successes:
    other

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.10s
";

    #[test]
    fn scores_of_all_binaries_are_summed() {
        let tally = follow(OUTPUT.as_bytes(), Vec::new()).unwrap();
        assert_eq!((tally.passed, tally.failed, tally.skipped), (2, 1, 2));
        assert_eq!(tally.failures, ["api::writes"]);
        assert_eq!(tally.skips, ["browser::opens: no Chromium"]);
    }

    #[test]
    fn the_output_of_failures_is_passed_on_and_that_of_successes_is_not() {
        let mut screen = Vec::new();
        follow(OUTPUT.as_bytes(), &mut screen).unwrap();
        let screen = String::from_utf8(screen).unwrap();
        assert!(screen.contains("boom") && screen.contains("test result: FAILED"));
        assert!(!screen.contains("looking for a browser") && !screen.contains("successes:"));
    }

    #[test]
    fn no_tests_is_not_a_score() {
        let none = "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert!(!follow(none.as_bytes(), Vec::new()).unwrap().ran());
    }
}
