//! `cargo xtask`: the commands of the project.
//!
//! One command per file; [`process`], [`workspace`], [`toolchain`], [`shop`], [`secrets`], [`apt`], [`python`] and [`libtest`]
//! are what they share.
//! The crate stays small on purpose: it knows the shop only through its HTTP API and the host only as a program to
//! start, so that a cold clone prints its help within seconds.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::bail;

mod apt;
mod bench;
mod browser;
mod build;
mod clean_state;
mod cluster;
mod docs;
mod doctor;
mod infra;
mod libtest;
mod lint;
mod npm;
mod process;
mod python;
mod secrets;
mod seed;
mod shop;
mod sqld;
mod test;
mod toolchain;
mod up;
mod workspace;

const HELP: &str = "\
The commands of the project.

Usage: cargo xtask <command> [options] [-- arguments of the program it runs]

  up [--listen ADDR] [--no-seed] [-- flags of `souk up`]
        Build everything, open the shop on http://127.0.0.1:3000, load the demo catalogue and its stock,
        and print how to log in as the admin and as a customer. Ctrl-C closes it.
  cluster up [--listen ADDR] [--no-build] [--no-seed] [--variable NAME=VALUE ...] [--instances SERVICE=N ...]
        Build everything and open the shop as one process per service, of products, orders and inventory two, which
        find each other by the registry. The gateway is on http://127.0.0.1:3000, the storefront on the next port.
        Stays there and says which process ends by itself; Ctrl-C ends all of them.
  cluster status
        The instances, their processes and their memory, and what the registry says of them.
  cluster kill|hang|resume INSTANCE|SERVICE
        Send SIGKILL, SIGSTOP or SIGCONT to an instance, such as products-2, or to all of a service.
  cluster restart INSTANCE|SERVICE [--manifest FILE]
        Drain and start again one instance after the other, as they are built now or from another manifest.
  cluster scale SERVICE N
        Start or drain instances of a service until there are N.
  cluster down
        End the cluster.
        Each of these takes --state-dir DIR, where a cluster has its data and its logs (.spin/cluster).
  build [components|fixtures|host ...]
        Build what is named, or all of it.
  test [lint|unit|infra|host|standalone|journey|chaos|cluster|resilience|fuzz|browser ...] [--host souk|spin] [--base-url URL]
       [--minutes N] [-- libtest arguments]
        Run the suites named, or all of them, and sum them up. A shop under --base-url is tested as the admin
        SOUK_ADMIN_EMAIL with SOUK_ADMIN_PASSWORD. The chaos suite kills hosts for so many minutes; SOUK_CHAOS_SEED
        makes the plan of an earlier run again.
  lint
        Formatting, clippy, and the checks of the project itself.
  infra check
        Hold infra/ to the schemas of Kubernetes and SpinKube, and to the manifests of the services.
  infra changed --since REF
        Print the services that a change since a commit concerns, as JSON.
  bench [arguments]
        Run the benchmarks.
  seed --url URL --admin-email E-MAIL --admin-password PASSWORD
        Load the demo catalogue and its stock into a shop that runs, on any host.
  clean-state
        Remove the data of the local shop (.spin/).
  docs
        Write what is generated of the documentation: docs/events.md.
  doctor
        Say what this machine has, what it lacks, and how to get it.
";

/// What was typed after the command: options of ours, and what follows `--` for the program the command runs.
struct Args {
    own: Vec<OsString>,
    passed_on: Vec<OsString>,
}

impl Args {
    fn split(mut all: Vec<OsString>) -> Self {
        let Some(dashes) = all.iter().position(|arg| arg == "--") else {
            return Self {
                own: all,
                passed_on: Vec::new(),
            };
        };
        let passed_on = all.split_off(dashes + 1);
        all.pop();
        Self {
            own: all,
            passed_on,
        }
    }

    fn expect_none(&self) -> anyhow::Result<()> {
        if let Some(arg) = self.own.iter().chain(&self.passed_on).next() {
            bail!("unexpected argument {arg:?}, see `cargo xtask --help`");
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let command = if args.is_empty() {
        "help".into()
    } else {
        args.remove(0)
    };
    let args = Args::split(args);
    if args.own.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match run(&command.to_string_lossy(), args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, args: Args) -> anyhow::Result<ExitCode> {
    match command {
        "up" => up::run(args),
        "build" => build::run(args),
        "test" => test::run(args),
        "lint" => lint::run(args),
        "infra" => infra::run(args),
        "bench" => bench::run(args),
        "seed" => seed::run(args),
        "clean-state" => clean_state::run(args),
        "cluster" => cluster::run(args),
        "docs" => docs::run(args),
        "doctor" => doctor::run(args),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("there is no command {command:?}, see `cargo xtask --help`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_dashes_is_passed_on() {
        let typed = ["--no-seed", "--", "--tick", "1", "--"];
        let args = Args::split(typed.map(OsString::from).into());
        assert_eq!(args.own, ["--no-seed"]);
        assert_eq!(args.passed_on, ["--tick", "1", "--"]);
    }

    #[test]
    fn without_dashes_everything_is_ours() {
        let args = Args::split(vec!["unit".into()]);
        assert_eq!(args.own, ["unit"]);
        assert!(args.passed_on.is_empty());
    }
}
