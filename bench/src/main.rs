//! Measures Souk beside native servers that do the same work, in one run on one machine.
//!
//! `cargo xtask bench host` prints what the embedded host costs. Only ratios last: the machine,
//! its noise and the load generator, which runs on the same cores, are in every absolute number.
//! `cargo xtask bench shop` measures the shop as its customers use it, `cargo xtask bench events` how fast and how late events come to
//! their consumers, `cargo xtask bench overload` what becomes of it when it is given four times what it can take. `cargo xtask bench telemetry` measures
//! what tracing costs. `native` and `native-shop` are the
//! baselines, started by the benchmarks themselves.

mod events;
mod host;
mod load;
mod native;
mod native_orders;
mod native_shop;
mod overload;
mod server;
mod shop;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["host"] => host::run(),
        ["shop"] => shop::run(),
        ["events"] => events::run(),
        ["overload"] => overload::run(),
        ["telemetry"] => telemetry::run(),
        ["native", database] => native::run(database),
        ["native-shop", dir] => native_shop::run(dir),
        _ => Err(anyhow::anyhow!(
            "usage: souk-bench host | shop | events | overload | telemetry"
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
