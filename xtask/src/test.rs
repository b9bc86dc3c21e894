//! `cargo xtask test`: the suites, one after the other, and the sum of their scores.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lexopt::ValueExt;

use crate::build::{self, HOST_PROFILE};
use crate::libtest::{self, Tally};
use crate::workspace::{HOST, TESTS, Workspace};
use crate::{apt, browser, infra, lint, process, python, sqld};

/// The suites, in the order they run.
const SUITES: [&str; 11] = [
    "lint",
    "unit",
    "infra",
    "host",
    "standalone",
    "journey",
    "chaos",
    "cluster",
    "resilience",
    "fuzz",
    "browser",
];

/// Those that cannot be run against a shop that runs already.
const OWN_HOSTS: [&str; 6] = [
    "host",
    "standalone",
    "chaos",
    "cluster",
    "resilience",
    "fuzz",
];

/// Those with tests that start Redis servers.
const WITH_REDIS: [&str; 3] = ["host", "standalone", "chaos"];

/// Those with tests that have Prometheus look.
const WITH_PROMETHEUS: [&str; 2] = ["standalone", "journey"];

/// Those with tests that start libSQL servers.
const WITH_SQLD: [&str; 2] = ["host", "standalone"];

/// What was asked for.
struct Options {
    suites: Vec<String>,
    /// The host the shop is tested on: `souk` or `spin`.
    test_host: String,
    /// A shop that runs already, to be tested in place of one started here.
    base_url: Option<String>,
    /// For how long the chaos suite goes on killing hosts, where that is to be longer than it takes anyway.
    minutes: Option<u32>,
    libtest_args: Vec<OsString>,
}

/// Runs the command.
pub fn run(args: crate::Args) -> anyhow::Result<ExitCode> {
    let session = Session {
        workspace: Workspace::load()?,
        options: Options::parse(args)?,
        built: OnceCell::new(),
    };
    let mut results = Vec::new();
    for suite in SUITES
        .into_iter()
        .filter(|suite| session.options.wants(suite))
    {
        println!("\n== {suite}");
        let started = Instant::now();
        results.push(Outcome {
            suite,
            tally: session.run(suite),
            took: started.elapsed(),
        });
    }
    Ok(summary(results))
}

impl Options {
    fn parse(args: crate::Args) -> anyhow::Result<Self> {
        let mut options = Self {
            suites: Vec::new(),
            test_host: "souk".into(),
            base_url: None,
            minutes: None,
            libtest_args: args.passed_on,
        };
        let mut parser = lexopt::Parser::from_args(args.own);
        while let Some(arg) = parser.next()? {
            match arg {
                lexopt::Arg::Long("host") => options.test_host = parser.value()?.string()?,
                lexopt::Arg::Long("base-url") => options.base_url = Some(parser.value()?.string()?),
                lexopt::Arg::Long("minutes") => options.minutes = Some(parser.value()?.parse()?),
                lexopt::Arg::Value(suite) => options.suites.push(suite.string()?),
                _ => return Err(arg.unexpected().into()),
            }
        }
        if let Some(unknown) = options
            .suites
            .iter()
            .find(|suite| !SUITES.contains(&suite.as_str()))
        {
            bail!("there is no suite {unknown:?}, but {}", SUITES.join(", "));
        }
        if !["souk", "spin"].contains(&options.test_host.as_str()) {
            bail!("--host is souk or spin, not {:?}", options.test_host);
        }
        Ok(options)
    }

    fn wants(&self, suite: &str) -> bool {
        self.suites.is_empty() || self.suites.iter().any(|wanted| wanted == suite)
    }
}

/// One run of the command.
struct Session {
    workspace: Workspace,
    options: Options,
    /// The host's binary, or why there is none: what all suites that drive the shop need is built once.
    built: OnceCell<Result<PathBuf, String>>,
}

impl Session {
    fn run(&self, suite: &str) -> Tally {
        let mut tally = match suite {
            "lint" => lint::check(&self.workspace),
            "unit" => self.unit(),
            "infra" => {
                infra::check(&self.workspace).unwrap_or_else(|error| failed(format!("{error:#}")))
            }
            _ => self.outside(suite),
        };
        // Libtest arguments may select no test of a suite; otherwise a suite without tests is a broken one.
        if !tally.ran() && tally.skipped == 0 && self.options.libtest_args.is_empty() {
            tally.fail("it ran no test");
        }
        tally
    }

    /// The tests inside the packages, native. The host's run in its own profile, in which Wasmtime is compiled anyway.
    fn unit(&self) -> Tally {
        let mut all = process::cargo();
        all.args(["test", "--workspace", "--exclude", HOST, "--exclude", TESTS]);
        for fixtures in self.workspace.fixtures() {
            all.args(["--exclude", &fixtures.name]);
        }
        let mut host = process::cargo();
        host.args(["test", "--profile", HOST_PROFILE, "-p", HOST]);

        let mut outside = process::cargo();
        outside.args(["test", "-p", TESTS, "--lib"]);

        let mut tally = self.cargo_test("the packages", all);
        tally.add(self.cargo_test("the host", host));
        tally.add(self.cargo_test("what the outside tests share", outside));
        tally
    }

    /// A suite that drives the shop from outside.
    fn outside(&self, suite: &str) -> Tally {
        if let Some(reason) = self.cannot_run(suite) {
            return Tally::skipped(reason);
        }
        let mut cargo = process::cargo();
        if let Some(url) = &self.options.base_url {
            cargo.env("SOUK_BASE_URL", url);
        } else {
            match self
                .built
                .get_or_init(|| self.build().map_err(|error| format!("{error:#}")))
            {
                Ok(souk) => cargo.env("SOUK_BIN", souk),
                Err(reason) => return failed(reason),
            };
        }
        if suite == "fuzz" {
            match python::schemathesis(&self.workspace) {
                Ok(program) => cargo.env("SOUK_SCHEMATHESIS", program),
                Err(error) => return Tally::skipped(format!("no schemathesis: {error:#}")),
            };
        }
        if suite == "browser" {
            match browser::modules(&self.workspace) {
                Ok(modules) => cargo.env("SOUK_NODE_MODULES", modules),
                Err(error) => {
                    return Tally::skipped(format!("no Playwright and axe: {error:#}"));
                }
            };
        }
        if let Some(minutes) = self.options.minutes {
            cargo.env("SOUK_CHAOS_MINUTES", minutes.to_string());
        }
        if matches!(suite, "chaos" | "cluster" | "resilience") {
            // Its tests use the command that people use.
            match std::env::current_exe() {
                Ok(xtask) => cargo.env("SOUK_XTASK", xtask),
                Err(error) => return failed(format!("xtask does not know itself: {error}")),
            };
        }
        // Only some tests of a suite need it; they say that they were skipped.
        if WITH_REDIS.contains(&suite)
            && let Err(error) = provide(REDIS)
        {
            cargo.env("SOUK_NO_REDIS", format!("no redis-server: {error:#}"));
        }
        if WITH_PROMETHEUS.contains(&suite)
            && let Err(error) = provide(PROMETHEUS)
        {
            eprintln!("no prometheus: {error:#}");
        }
        if suite == "standalone" {
            self.provide_exporter(&mut cargo);
        }
        if WITH_SQLD.contains(&suite) {
            match sqld::program(&self.workspace) {
                Ok(program) => cargo.env("SOUK_SQLD", program),
                Err(error) => cargo.env("SOUK_NO_SQLD", format!("no sqld: {error:#}")),
            };
        }
        cargo
            .args(["test", "-p", TESTS, "--test", suite])
            .env("SOUK_REPO", &self.workspace.root)
            .env("SOUK_TEST_HOST", &self.options.test_host);
        self.cargo_test(suite, cargo)
    }

    /// What others export with. Tests that do without say that they were skipped.
    fn provide_exporter(&self, cargo: &mut Command) {
        match python::opentelemetry(&self.workspace) {
            Ok(python) => _ = cargo.env("SOUK_OTEL_PYTHON", python),
            Err(error) => eprintln!("no OpenTelemetry for Python: {error:#}"),
        }
    }

    fn cannot_run(&self, suite: &str) -> Option<String> {
        if OWN_HOSTS.contains(&suite) && self.options.base_url.is_some() {
            return Some("it starts hosts of its own; --base-url does not go with it".into());
        }
        if self.options.base_url.is_none()
            && self.options.test_host == "spin"
            && process::on_path(&["spin"]).is_none()
        {
            return Some("spin is not on the PATH".into());
        }
        if suite == "browser"
            && let Err(error) = provide_chromium()
        {
            return Some(format!("no Chromium: {error:#}"));
        }
        None
    }

    fn build(&self) -> anyhow::Result<PathBuf> {
        build::components(&self.workspace)?;
        build::fixtures(&self.workspace)?;
        build::host(&self.workspace, HOST_PROFILE)
    }

    /// Runs a `cargo test` for its score.
    fn cargo_test(&self, what: &str, mut cargo: Command) -> Tally {
        cargo
            .current_dir(&self.workspace.root)
            .args(["--no-fail-fast", "--", "--show-output"])
            .args(&self.options.libtest_args);
        score(what, cargo).unwrap_or_else(|error| failed(format!("{error:#}")))
    }
}

/// A program that ends badly without a failed test (it did not compile, it was killed) counts as one failure.
fn score(what: &str, mut cargo: Command) -> anyhow::Result<Tally> {
    let _alive = process::Heartbeat::start(&format!("testing {what}"));
    let mut child = cargo
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let output = child
        .stdout
        .take()
        .context("the output of cargo is piped")?;
    let mut tally = libtest::follow(BufReader::new(output), std::io::stdout())?;
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        tally.fail(format!(
            "testing {what} ended with {status}, without a failed test"
        ));
    }
    Ok(tally)
}

fn failed(reason: impl Into<String>) -> Tally {
    let mut tally = Tally::default();
    tally.fail(reason);
    tally
}

/// The names under which Chromium goes.
pub const CHROMIUM: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

fn provide_chromium() -> anyhow::Result<()> {
    if process::on_path(&CHROMIUM).is_some() {
        return Ok(());
    }
    apt::install(&["chromium"])
}

/// The name of the server's program and package.
pub const REDIS: &str = "redis-server";

/// The name of Prometheus's program and package.
pub const PROMETHEUS: &str = "prometheus";

/// Installs a server's program. Where nothing forbids it (in a container something does), the package also starts a
/// server on the usual port, now and at each start of the machine, which nobody asked for.
fn provide(server: &str) -> anyhow::Result<()> {
    if process::on_path(&[server]).is_some() {
        return Ok(());
    }
    apt::install(&[server])?;
    if let Err(error) = apt::stop_service(server) {
        eprintln!("the service {server} may be running now: {error:#}");
    }
    Ok(())
}

struct Outcome {
    suite: &'static str,
    tally: Tally,
    took: Duration,
}

/// Prints each suite, what failed and what was skipped, and the sum as the very last line.
fn summary(results: Vec<Outcome>) -> ExitCode {
    println!("\nsuite       passed  failed  skipped     time");
    for Outcome { suite, tally, took } in &results {
        let (passed, failed, skipped) = (tally.passed, tally.failed, tally.skipped);
        println!(
            "{suite:<10} {passed:>7} {failed:>7} {skipped:>8} {:>6.1} s",
            took.as_secs_f32()
        );
    }
    for Outcome { suite, tally, .. } in &results {
        tally
            .skips
            .iter()
            .for_each(|skip| println!("skipped in {suite}: {skip}"));
        tally
            .failures
            .iter()
            .for_each(|failure| println!("FAILED in {suite}: {failure}"));
    }
    let mut sum = Tally::default();
    results
        .into_iter()
        .for_each(|outcome| sum.add(outcome.tally));
    if !sum.ran() {
        println!("nothing was tested, which counts as a failure");
    }
    println!(
        "{} passed, {} failed, {} skipped",
        sum.passed, sum.failed, sum.skipped
    );
    if sum.failed == 0 && sum.ran() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
