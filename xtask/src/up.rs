//! `cargo xtask up`: one command from a fresh clone to an open shop.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
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
use crate::seed::Shop;
use crate::workspace::Workspace;

/// What was asked for.
struct Options {
    listen: SocketAddr,
    load_catalogue: bool,
    souk_flags: Vec<OsString>,
}

/// Runs the command.
pub fn run(args: crate::Args) -> anyhow::Result<ExitCode> {
    let mut options = Options::parse(args)?;
    options.listen = free_address(options.listen)?;
    let workspace = Workspace::load()?;
    build::components(&workspace)?;
    let souk = build::host(&workspace, HOST_PROFILE)?;

    let state = workspace.state_dir();
    let admin_token = secret("SPIN_VARIABLE_ADMIN_TOKEN", &state.join("admin-token"))?;
    let service_key = secret("SPIN_VARIABLE_SERVICE_KEY", &state.join("service-key"))?;
    let mut host = Command::new(souk);
    host.args(options.arguments())
        .env("SPIN_VARIABLE_ADMIN_TOKEN", &admin_token)
        .env("SPIN_VARIABLE_SERVICE_KEY", &service_key)
        .current_dir(&workspace.root);

    let mut host = Host::start(host)?;
    let shop = Shop::new(&url(options.listen), &admin_token);
    if host.serves(&shop)? {
        if options.load_catalogue
            && let Err(error) = load_catalogue_once(&workspace, &shop)
            && !host.stopping()
        {
            eprintln!("the demo catalogue is not loaded: {error:#}");
        }
        if !host.stopping() {
            welcome(&shop);
        }
    }
    host.wait()
}

impl Options {
    fn parse(args: crate::Args) -> anyhow::Result<Self> {
        let mut options = Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)),
            load_catalogue: true,
            souk_flags: args.passed_on,
        };
        let mut parser = lexopt::Parser::from_args(args.own);
        while let Some(arg) = parser.next()? {
            match arg {
                lexopt::Arg::Long("listen") => options.listen = parser.value()?.parse()?,
                lexopt::Arg::Long("no-seed") => options.load_catalogue = false,
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
fn free_address(listen: SocketAddr) -> anyhow::Result<SocketAddr> {
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
fn url(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

/// A secret of the shop: from the environment, else from the file, which is made on the first start.
fn secret(variable: &str, file: &Path) -> anyhow::Result<String> {
    if let Ok(given) = std::env::var(variable) {
        return Ok(given);
    }
    match fs::read_to_string(file) {
        Ok(kept) => return Ok(kept.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    }
    let secret = random_secret()?;
    fs::create_dir_all(file.parent().context("a secret is kept in a folder")?)?;
    let mut created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    writeln!(created, "{secret}")?;
    Ok(secret)
}

/// 256 random bits in hexadecimal.
fn random_secret() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Loads the catalogue unless that was done before, so that what was changed in the shop since stays changed.
fn load_catalogue_once(workspace: &Workspace, shop: &Shop) -> anyhow::Result<()> {
    let loaded = workspace.state_dir().join("catalogue-loaded");
    if loaded.exists() {
        return Ok(());
    }
    shop.load_catalogue(&workspace.root)?;
    fs::write(&loaded, "")?;
    Ok(())
}

fn welcome(shop: &Shop) {
    let (url, token) = (&shop.url, &shop.admin_token);
    println!(
        "
The shop is open at {url}
The admin token is {token}

  curl '{url}/api/products?q=tea&limit=5'
  curl -H 'authorization: Bearer {token}' {url}/api/health

Ctrl-C closes it."
    );
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
        assert!(!options.load_catalogue);
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
    fn a_secret_is_made_once_and_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("souk-xtask-secret-{}", std::process::id()));
        let file = dir.join("admin-token");
        let made = secret("SOUK_XTASK_NOT_SET", &file).unwrap();
        assert_eq!(made.len(), 64);
        assert_eq!(secret("SOUK_XTASK_NOT_SET", &file).unwrap(), made);
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn exit_codes_are_those_of_the_host() {
        assert_eq!(exit_code(ExitStatus::from_raw(0)), ExitCode::SUCCESS);
        assert_eq!(exit_code(ExitStatus::from_raw(2 << 8)), ExitCode::from(2));
        assert_eq!(exit_code(ExitStatus::from_raw(9)), ExitCode::from(137));
    }
}
