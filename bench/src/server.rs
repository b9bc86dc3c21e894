//! Server processes under measurement. Each is killed when dropped.

use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that serves.
pub struct Server {
    child: Child,
    /// Where.
    pub address: SocketAddr,
    /// From the start of the process to its first 200.
    pub started_in: Duration,
}

impl Server {
    /// Runs `command`, which is to listen on `address`, and waits until `path` answers 200.
    ///
    /// # Errors
    /// When it does not within a minute.
    pub fn start(command: &mut Command, address: SocketAddr, path: &str) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut server = Self {
            child,
            address,
            started_in: Duration::ZERO,
        };
        while begun.elapsed() < Duration::from_secs(60) {
            if get(address, path).is_ok() {
                server.started_in = begun.elapsed();
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended: {status}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("the server does not serve")
    }

    /// Resident memory, in megabytes.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn resident(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes: f64 = line
            .and_then(|line| line.split_whitespace().next())
            .context("no VmRSS")?
            .parse()?;
        Ok(kilobytes / 1024.0)
    }

    /// The processors' time that it took so far.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Its name may have anything in it; what comes after is counted from the third field on.
        let (_, fields) = stat.rsplit_once(')').context("no name")?;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks = ticks.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 1000 / TICKS_A_SECOND))
    }
}

/// What the kernel counts time in for everybody, whatever it does itself.
const TICKS_A_SECOND: u64 = 100;

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free loopback address.
///
/// # Errors
/// When there is none.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// `souk up` or `spin up` of a manifest with a runtime config file, with its state in `dir`.
///
/// # Errors
/// When the runtime config file cannot be copied there.
pub fn up(
    binary: &OsStr,
    manifest: &Path,
    runtime_config: &Path,
    dir: &Path,
    address: SocketAddr,
) -> anyhow::Result<Command> {
    // Some paths in it count from the folder it is in.
    std::fs::copy(runtime_config, dir.join("runtime-config.toml"))?;
    let mut command = Command::new(binary);
    command
        .current_dir(dir)
        .args(["up", "--quiet", "--from"])
        .arg(manifest)
        .arg("--runtime-config-file")
        .arg(dir.join("runtime-config.toml"))
        .arg("--state-dir")
        .arg(dir.join(".spin"))
        .arg("--listen")
        .arg(address.to_string());
    Ok(command)
}

/// The body of a GET that is answered 200.
///
/// # Errors
/// When it is not.
pub fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    send(address, "GET", path, "", "")
}

/// The body of a request that is answered 2xx. `headers` are whole lines.
///
/// # Errors
/// When it is not.
pub fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    reader.read_line(&mut status)?;
    let mut answer = String::new();
    reader.read_to_string(&mut answer)?;
    if !status.contains(" 2") {
        bail!("{method} {path}: {status}{answer}");
    }
    Ok(answer
        .split_once("\r\n\r\n")
        .unwrap_or_default()
        .1
        .to_owned())
}

/// The checkout.
pub fn repo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether a program is on the PATH.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
