//! The shop as one process per service, as `cargo xtask cluster` runs it.

use crate::{ADMIN_EMAIL, ADMIN_PASSWORD, Reply, Shop, repo};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Time a cluster has to open: the first one of a build compiles every component.
const START: Duration = Duration::from_secs(180);

/// Time it has to end.
const END: Duration = Duration::from_secs(30);

/// A cluster of the test's own. Ended when dropped.
pub struct Cluster {
    up: Child,
    output: Arc<Mutex<String>>,
    dir: TempDir,
    /// The gateway, seen from outside.
    pub shop: Shop,
    /// Where the storefront is.
    pub storefront: String,
    _alone: MutexGuard<'static, ()>,
}

impl Cluster {
    /// One with the usual instances, nobody's rate limits, and nothing in it.
    ///
    /// # Panics
    /// When it does not open.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more arguments for `cluster up`.
    ///
    /// # Panics
    /// When it does not open.
    pub fn start_with(more: &[&str]) -> Self {
        // Each has some fourteen processes, and what the tests expect takes its time where the machine has too much to do.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().expect("a folder for the state");
        let [gateway, storefront] = two_free_addresses();
        let mut command = xtask("up", dir.path());
        command.args(["--no-build", "--no-seed", "--listen", &gateway]);
        for limit in ["client", "account", "login"] {
            command.args(["--variable", &format!("rate_limit_{limit}=off")]);
        }
        let mut up = command
            .args(more)
            .env("SPIN_VARIABLE_ADMIN_EMAIL", ADMIN_EMAIL)
            .env("SPIN_VARIABLE_ADMIN_PASSWORD", ADMIN_PASSWORD)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program of SOUK_XTASK");
        let (out, err) = (
            up.stdout.take().expect("piped"),
            up.stderr.take().expect("piped"),
        );
        let (output, opened) = follow(out, err);
        let cluster = Self {
            up,
            output,
            dir,
            shop: Shop::at(&format!("http://{gateway}")),
            storefront: format!("http://{storefront}"),
            _alone: alone,
        };
        let opened = opened.recv_timeout(START);
        assert!(opened.is_ok(), "no open cluster: {}", cluster.output());
        cluster
    }

    /// What `up` has written so far.
    pub fn output(&self) -> String {
        self.output.lock().expect("no panic").clone()
    }

    /// Its state folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What another subcommand writes; its values are separated by spaces.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&self, command: &str) -> String {
        let output = self.output_of(command);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{command}: {out}{err}");
        out
    }

    /// The error of a subcommand that fails.
    ///
    /// # Panics
    /// When it does not.
    pub fn refused(&self, command: &str) -> String {
        let output = self.output_of(command);
        assert!(!output.status.success(), "{command}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn output_of(&self, command: &str) -> Output {
        let mut words = command.split_whitespace();
        let subcommand = words.next().expect("a subcommand");
        let mut command = xtask(subcommand, self.dir.path());
        command
            .args(words)
            .output()
            .expect("the program of SOUK_XTASK")
    }

    /// A column of the line of an instance in the table of `status`: 1 is its process, 3 what that does, 4 what the registry says.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn status(&self, instance: &str, column: usize) -> String {
        let table = self.run("status");
        let line = table.lines().map(|line| line.split_whitespace().collect());
        let found = line
            .into_iter()
            .find(|line: &Vec<&str>| line.first() == Some(&instance));
        let found = found.unwrap_or_else(|| panic!("no {instance} in {table}"));
        found[column].to_owned()
    }

    /// The states of the instances that the registry lists, by service, as an administrator sees them.
    ///
    /// # Panics
    /// When the shop does not say.
    pub fn listed(&self) -> BTreeMap<String, Vec<String>> {
        let answer = Reply::to(self.shop.admin("GET", "/api/ops/services"));
        assert_eq!(answer.status, 200, "{}", answer.text);
        let answer = answer.json();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let states = |service: &Value| {
            let instances = list(&service["instances"]);
            let states = instances.iter().map(|it| text(&it["state"]));
            (text(&service["service"]), states.collect())
        };
        list(&answer["items"]).iter().map(states).collect()
    }

    /// Tells `up` to end everything, and waits for that.
    fn end(&mut self) -> bool {
        let pid = Pid::from_raw(self.up.id().try_into().expect("a pid"));
        let _ = kill(pid, Signal::SIGTERM);
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if self.up.try_wait().is_ok_and(|ended| ended.is_some()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.up.kill();
        let _ = self.up.wait();
        false
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let ended = self.end();
        if std::thread::panicking() || !ended {
            eprintln!("ended: {ended}; the cluster wrote:\n{}", self.output());
        }
        if std::thread::panicking() {
            show_logs(self.dir.path());
        }
    }
}

fn xtask(subcommand: &str, dir: &Path) -> Command {
    let program = std::env::var_os("SOUK_XTASK")
        .expect("SOUK_XTASK names the program; run the tests with `cargo xtask test`");
    let mut command = Command::new(program);
    command.current_dir(repo());
    command
        .args(["cluster", subcommand, "--state-dir"])
        .arg(dir);
    command
}

/// Two free ports next to each other, that the system gives to no outgoing connection.
fn two_free_addresses() -> [String; 2] {
    let some = uuid::Uuid::now_v7().as_u128() % 5_000;
    let first = 20_000 + 2 * u16::try_from(some).expect("less than 5000");
    let free = |port: &u16| {
        let both = [*port, *port + 1].map(|port| TcpListener::bind(("127.0.0.1", port)));
        both.iter().all(Result::is_ok)
    };
    let port = (first..).step_by(2).find(free).expect("two free ports");
    [port, port + 1].map(|port| format!("127.0.0.1:{port}"))
}

/// Remembers everything that is written, and says when the line comes that the shop is open.
fn follow(out: ChildStdout, err: ChildStderr) -> (Arc<Mutex<String>>, mpsc::Receiver<()>) {
    let all = Arc::new(Mutex::new(String::new()));
    let (opened, when_opened) = mpsc::channel();
    let streams: [Box<dyn Read + Send>; 2] = [Box::new(out), Box::new(err)];
    for stream in streams {
        let (all, opened) = (all.clone(), opened.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                all.lock().expect("no panic").push_str(&format!("{line}\n"));
                if line.starts_with("The shop is open") {
                    let _ = opened.send(());
                }
            }
        });
    }
    (all, when_opened)
}

/// Shows the last lines that each instance wrote.
fn show_logs(dir: &Path) {
    let Ok(instances) = std::fs::read_dir(dir.join("logs")) else {
        return;
    };
    for instance in instances.flatten() {
        let host = instance.path().join("host.txt");
        let components = std::fs::read_dir(instance.path().join("logs"));
        let components = components.into_iter().flatten().flatten();
        for file in std::iter::once(host).chain(components.map(|file| file.path())) {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(15)..].join("\n");
            if !last.is_empty() {
                eprintln!("{}:\n{last}", file.display());
            }
        }
    }
}
