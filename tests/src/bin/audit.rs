//! `audit --url URL --state-dir DIR --answers FILE [--log api]`: whether the books of a shop at rest balance.
//!
//! It prints each discrepancy on a line, then what it compared, and ends with 0 when there is none. `FILE` is what clients were
//! answered, as JSON of [`Answers`]. With `--log api` the log of events is asked for there, since it is not in the folder.

use souk_tests::audit::{self, Answers, Books};
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: audit --url URL --state-dir DIR --answers FILE [--log api]";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            println!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Says whether everything fits.
fn run() -> Result<bool, String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let mut pairs = args.chunks_exact(2).filter(|pair| pair[0] == name);
        pairs.next().map(|pair| pair[1].as_str()).ok_or(USAGE)
    };
    let (url, state_dir, file) = (value("--url")?, value("--state-dir")?, value("--answers")?);
    let answers = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    let answers: Answers =
        serde_json::from_slice(&answers).map_err(|error| format!("{file}: {error}"))?;
    let url = url.trim_end_matches('/');
    let books = Books {
        state_dir: Path::new(state_dir),
        log: (value("--log") == Ok("api")).then_some((url, &answers.admin)),
    };
    let found = audit::run(url, &books, &answers);
    for discrepancy in &found.discrepancies {
        println!("{discrepancy}");
    }
    println!(
        "{} discrepancies in {}",
        found.discrepancies.len(),
        found.compared
    );
    Ok(found.discrepancies.is_empty())
}
