//! A Redis server of a test's own, that can be killed and started again.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Time a server has to begin to answer.
const START: Duration = Duration::from_secs(20);
/// Ports that are tried: between the look for a free one and its use, another program may take it.
const PORTS: usize = 5;

/// The server. Keeps what it acknowledged in a folder of its own. Killed when dropped.
pub struct Redis {
    port: u16,
    dir: TempDir,
    child: Child,
}

impl Redis {
    /// Starts one on a free loopback port and waits until it answers; `None` where there is no
    /// redis-server on the PATH.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn start() -> Option<Self> {
        for _ in 0..PORTS {
            let dir = tempfile::tempdir().expect("a folder for the data");
            let port = free_port();
            let child = spawn(port, &dir)?;
            let mut redis = Self { port, dir, child };
            if redis.answers() {
                return Some(redis);
            }
        }
        panic!("redis-server does not answer on any of {PORTS} ports");
    }

    /// Why there is no redis-server.
    pub fn why_none() -> String {
        std::env::var("SOUK_NO_REDIS")
            .unwrap_or_else(|_| "there is no redis-server on the PATH".into())
    }

    /// Where it is: `redis://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again after [`Self::kill`]: on the same port, with the same data.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn start_again(&mut self) {
        self.child = spawn(self.port, &self.dir).expect("redis-server is still there");
        assert!(self.answers(), "redis-server does not start again");
    }

    /// Waits until it answers, or has given up.
    fn answers(&mut self) -> bool {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            if ping(self.port).is_ok_and(|answer| &answer == b"+PONG") {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
        false
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// A server that has every write on the disk before it answers; `None` where there is no program.
fn spawn(port: u16, dir: &TempDir) -> Option<Child> {
    let spawned = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--protected-mode", "no", "--daemonize", "no"])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .arg("--dir")
        .arg(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match spawned {
        Ok(child) => Some(child),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("cannot start redis-server: {error}"),
    }
}

/// The beginning of the answer to a PING, which is an error while the data is being read.
fn ping(port: u16) -> std::io::Result<[u8; 5]> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
