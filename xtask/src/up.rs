//! `cargo xtask up`: one command from a fresh clone to an open shop.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use lexopt::ValueExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::build::{self, HOST_PROFILE};
use crate::process::Heartbeat;
use crate::secrets::{self, secret};
use crate::seed;
use crate::shop::{Credentials, Shop};
use crate::workspace::Workspace;

/// What was asked for.
struct Options {
    listen: SocketAddr,
    load_demo: bool,
    souk_flags: Vec<OsString>,
}

/// Runs the command.
pub fn run(args: crate::Args) -> anyhow::Result<ExitCode> {
    let mut options = Options::parse(args)?;
    options.listen = free_address(options.listen)?;
    let workspace = Workspace::load()?;
    build::components(&workspace)?;
    let souk = build::host(&workspace, HOST_PROFILE)?;

    let people = People::of(&workspace.state_dir())?;
    let service_key = secret(
        "SPIN_VARIABLE_SERVICE_KEY",
        &workspace.state_dir().join("service-key"),
        secrets::key,
    )?;
    let metrics_token = metrics_token(&workspace.state_dir())?;
    let mut host = Command::new(souk);
    host.args(options.arguments())
        .env("SPIN_VARIABLE_ADMIN_EMAIL", &people.admin.email)
        .env("SPIN_VARIABLE_ADMIN_PASSWORD", &people.admin.password)
        .env("SPIN_VARIABLE_SERVICE_KEY", &service_key)
        .env("SPIN_VARIABLE_METRICS_TOKEN", &metrics_token)
        .current_dir(&workspace.root);

    let mut host = Host::start(host)?;
    let shop = Shop::new(&url(options.listen));
    if host.serves(&shop)? {
        let loaded = match options.load_demo {
            true => load_demo_once(&workspace.root, &workspace.state_dir(), &shop, &people),
            false => Ok(()),
        };
        if !host.stopping() {
            if let Err(error) = &loaded {
                eprintln!("the demo data is not loaded: {error:#}");
            }
            let customer = (options.load_demo && loaded.is_ok()).then_some(&people.customer);
            print!(
                "{}",
                welcome(&shop.url, &people.admin, customer, &metrics_token)
            );
        }
    }
    host.wait()
}

/// Who has an account in the local shop.
pub struct People {
    pub admin: Credentials,
    pub customer: Credentials,
}

impl People {
    /// Their passwords are in the environment or in the state folder.
    pub fn of(state: &Path) -> anyhow::Result<Self> {
        let person = |email: String, variable, file| {
            let password = secret(variable, &state.join(file), secrets::password)?;
            anyhow::Ok(Credentials { email, password })
        };
        let admin_email = std::env::var("SPIN_VARIABLE_ADMIN_EMAIL");
        Ok(Self {
            admin: person(
                admin_email.unwrap_or_else(|_| "admin@souk.example".into()),
                "SPIN_VARIABLE_ADMIN_PASSWORD",
                "admin-password",
            )?,
            customer: person(
                "customer@souk.example".into(),
                "SOUK_CUSTOMER_PASSWORD",
                "customer-password",
            )?,
        })
    }
}

/// What Prometheus brings to scrape the local shop.
pub fn metrics_token(state: &Path) -> anyhow::Result<String> {
    let file = state.join("metrics-token");
    secret("SPIN_VARIABLE_METRICS_TOKEN", &file, secrets::key)
}

impl Options {
    fn parse(args: crate::Args) -> anyhow::Result<Self> {
        let mut options = Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)),
            load_demo: true,
            souk_flags: args.passed_on,
        };
        let mut parser = lexopt::Parser::from_args(args.own);
        while let Some(arg) = parser.next()? {
            match arg {
                lexopt::Arg::Long("listen") => options.listen = parser.value()?.parse()?,
                lexopt::Arg::Long("no-seed") => options.load_demo = false,
                _ => return Err(arg.unexpected().into()),
            }
        }
        Ok(options)
    }

    /// The arguments of the host; a flag typed after `--` takes the place of ours.
    fn arguments(&self) -> Vec<OsString> {
        let listen = self.listen.to_string();
        let ours = [
            ("--from", "spin.toml"),
            ("--runtime-config-file", "runtime-config.toml"),
            ("--listen", &listen),
            ("--tick", "5"),
        ];
        let mut arguments = vec!["up".into()];
        for (flag, value) in ours {
            if !self.souk_flags.iter().any(|typed| typed == flag) {
                arguments.extend([flag.into(), value.into()]);
            }
        }
        arguments.extend(self.souk_flags.iter().cloned());
        arguments
    }
}

/// The address, with a free port chosen for port 0. Asked before the build, which may take minutes.
pub fn free_address(listen: SocketAddr) -> anyhow::Result<SocketAddr> {
    match TcpListener::bind(listen) {
        Ok(listener) => Ok(listener.local_addr()?),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bail!(
            "port {} is in use: stop what listens there, or take another one with `--listen {}:0`",
            listen.port(),
            listen.ip()
        ),
        Err(error) => bail!("cannot listen on {listen}: {error}"),
    }
}

/// Where this machine reaches an address that is listened on.
pub fn url(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

/// Loads the demo data unless that was done before, so that what was changed in the shop since stays changed.
pub fn load_demo_once(
    root: &Path,
    state: &Path,
    shop: &Shop,
    people: &People,
) -> anyhow::Result<()> {
    let loaded = state.join("demo-loaded");
    if loaded.exists() {
        return Ok(());
    }
    seed::load_catalogue(&shop.log_in(&people.admin)?, root)?;
    seed::add_customer(shop, &people.customer)?;
    fs::write(&loaded, "")?;
    Ok(())
}

/// Where the shop is, who may log in and how, and how it is watched.
pub fn welcome(
    url: &str,
    admin: &Credentials,
    customer: Option<&Credentials>,
    metrics_token: &str,
) -> String {
    let mut text = format!("\nThe shop is open at {url}\n\n");
    let mut row = |who, it: &Credentials| {
        text += &format!("  {who:<9} {}   password {}\n", it.email, it.password);
    };
    row("admin", admin);
    if let Some(customer) = customer {
        row("customer", customer);
    }
    let who = customer.unwrap_or(admin);
    text += &format!(
        "
  curl '{url}/api/products?q=tea&limit=5'
  curl -H 'content-type: application/json' -d '{{\"email\":\"{}\",\"password\":\"{}\"}}' {url}/api/sessions
  curl -H \"authorization: Bearer $TOKEN\" {url}/api/users/me
  curl -H 'authorization: Bearer {metrics_token}' {url}/metrics

The second one logs in: TOKEN is the access_token of its answer. The last one is what Prometheus scrapes. Ctrl-C closes the shop.
",
        who.email, who.password
    );
    text
}

/// The host as our child.
struct Host {
    child: Child,
    stopping: Arc<AtomicBool>,
}

impl Host {
    /// Starts it in a process group of its own: so the terminal sends Ctrl-C to us only, and the host gets each signal
    /// once, from us (a second one would end it at once, in the middle of what it finishes).
    fn start(mut command: Command) -> anyhow::Result<Self> {
        // Handlers, unlike a signal mask, do not pass to the child.
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start the host")?;
        let stopping = Arc::new(AtomicBool::new(false));
        let host = Pid::from_raw(child.id().try_into()?);
        thread::spawn({
            let stopping = stopping.clone();
            move || {
                for signal in signals.forever() {
                    stopping.store(true, Ordering::Relaxed);
                    // A closed terminal closes the shop as well.
                    let passed_on = match signal {
                        SIGINT => Signal::SIGINT,
                        _ => Signal::SIGTERM,
                    };
                    // The host may be gone already, that is fine too.
                    let _ = kill(host, passed_on);
                }
            }
        });
        Ok(Self { child, stopping })
    }

    /// Waits until the shop answers; false if the host ended before that.
    fn serves(&mut self, shop: &Shop) -> anyhow::Result<bool> {
        let _alive = Heartbeat::start("starting the shop");
        while self.child.try_wait()?.is_none() {
            if shop.is_healthy() {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(false)
    }

    /// Whether it was told to stop.
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Its exit code is ours; one killed by a signal has the shell's code for that.
    fn wait(mut self) -> anyhow::Result<ExitCode> {
        Ok(exit_code(self.child.wait()?))
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_reaches_the_host_and_its_exit_code_comes_back() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done"]);
        let host = Host::start(command).unwrap();
        // The shell needs a moment to set its trap.
        thread::sleep(Duration::from_millis(300));
        kill(Pid::this(), Signal::SIGTERM).unwrap();
        assert_eq!(host.wait().unwrap(), ExitCode::from(7));
    }

    #[test]
    fn flags_after_the_dashes_take_the_place_of_ours() {
        let passed_on = ["--tick", "1", "--quiet"].map(OsString::from).to_vec();
        let options = Options::parse(crate::Args {
            own: vec!["--no-seed".into()],
            passed_on,
        })
        .unwrap();
        assert!(!options.load_demo);
        let arguments = options.arguments();
        assert_eq!(
            arguments
                .iter()
                .filter(|argument| *argument == "--tick")
                .count(),
            1
        );
        assert_eq!(arguments.first().unwrap(), "up");
        assert_eq!(arguments.last().unwrap(), "--quiet");
    }

    #[test]
    fn a_taken_port_is_told_in_one_line() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = free_address(taken.local_addr().unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("is in use") && !error.contains('\n'),
            "{error}"
        );
    }

    #[test]
    fn an_address_for_everyone_is_reached_on_loopback() {
        assert_eq!(
            url("0.0.0.0:3000".parse().unwrap()),
            "http://127.0.0.1:3000"
        );
        assert_eq!(url("[::]:80".parse().unwrap()), "http://[::1]:80");
    }

    #[test]
    fn whoever_has_an_account_is_told_how_to_use_it() {
        let person = |email: &str| Credentials {
            email: email.into(),
            password: format!("of {email}"),
        };
        let (admin, customer) = (
            person("admin@souk.example"),
            person("customer@souk.example"),
        );
        let text = welcome(
            "http://127.0.0.1:3000",
            &admin,
            Some(&customer),
            "of metrics",
        );
        assert!(
            text.contains("of admin@souk.example") && text.contains("of customer@souk.example")
        );
        let body = r#"{"email":"customer@souk.example","password":"of customer@souk.example"}"#;
        assert!(text.contains(body), "{text}");
        let scrape = "curl -H 'authorization: Bearer of metrics' http://127.0.0.1:3000/metrics";
        assert!(text.contains(scrape), "{text}");
        let text = welcome("http://127.0.0.1:3000", &admin, None, "of metrics");
        assert!(!text.contains("customer@"), "{text}");
    }

    #[test]
    fn exit_codes_are_those_of_the_host() {
        assert_eq!(exit_code(ExitStatus::from_raw(0)), ExitCode::SUCCESS);
        assert_eq!(exit_code(ExitStatus::from_raw(2 << 8)), ExitCode::from(2));
        assert_eq!(exit_code(ExitStatus::from_raw(9)), ExitCode::from(137));
    }
}
