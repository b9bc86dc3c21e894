//! Measures Souk beside native servers that do the same work, in one run on one machine.
//!
//! `cargo xtask bench host` prints what the embedded host costs. Only ratios last: the machine,
//! its noise and the load generator, which runs on the same cores, are in every absolute number.
//! `native` is the baseline, started by the benchmark itself.

mod host;
mod load;
mod native;
mod server;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["host"] => host::run(),
        ["native", database] => native::run(database),
        _ => Err(anyhow::anyhow!("usage: souk-bench host")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
