//! Starts and stops a host process.

use crate::http::{Reply, client, eventually};
use crate::{on_spin, repo, unique};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::blocking::{Client, RequestBuilder};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Time a host has to begin to serve: the first start compiles every component.
const START: Duration = Duration::from_secs(120);

/// How a host is started.
#[derive(Clone)]
pub struct Launch {
    manifest: PathBuf,
    runtime_config: Option<String>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    dir: Option<PathBuf>,
}

impl Launch {
    /// Of a manifest, relative to the checkout.
    pub fn of(manifest: &str) -> Self {
        Self {
            manifest: repo().join(manifest),
            runtime_config: None,
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
        }
    }

    /// Of the fixture components.
    pub fn fixtures() -> Self {
        Self::of("tests/fixtures/spin.toml").runtime_config("tests/fixtures/runtime-config.toml")
    }

    /// With a runtime config file, relative to the checkout.
    ///
    /// # Panics
    /// When it is not there.
    pub fn runtime_config(self, file: &str) -> Self {
        let text = std::fs::read_to_string(repo().join(file));
        self.runtime_config_of(&text.expect("the runtime config file"))
    }

    /// With a runtime config file that says this.
    pub fn runtime_config_of(mut self, text: &str) -> Self {
        self.runtime_config = Some(text.to_owned());
        self
    }

    /// With more arguments, separated by spaces.
    pub fn args(mut self, args: &str) -> Self {
        self.args.extend(args.split_whitespace().map(str::to_owned));
        self
    }

    /// With an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a value for a variable of the application.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        let name = variable(name);
        self.env.retain(|(known, _)| *known != name);
        self.env(&name, value)
    }

    /// The value that was given for a variable; empty where there is none.
    pub(crate) fn variable_value(&self, name: &str) -> &str {
        let name = variable(name);
        let given = self.env.iter().find(|(known, _)| *known == name);
        given.map_or("", |(_, value)| value)
    }

    /// In this folder, where its state is, rather than in one of its own.
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    fn has(&self, flag: &str) -> bool {
        self.args.iter().any(|arg| arg == flag)
    }

    fn command(&self, dir: &Path) -> Command {
        let mut command =
            match on_spin() {
                true => Command::new("spin"),
                false => Command::new(std::env::var_os("SOUK_BIN").expect(
                    "SOUK_BIN names the host's binary; run the tests with `cargo xtask test`",
                )),
            };
        command.current_dir(dir).arg("up");
        command.arg("--from").arg(&self.manifest);
        if !self.has("--state-dir") {
            command.arg("--state-dir").arg(dir.join("state"));
        }
        if let Some(text) = &self.runtime_config {
            // Paths of key-value stores in it count from the folder it is in, which hosts may share.
            let copy = dir.join(format!("{}.toml", unique("runtime-config")));
            std::fs::write(&copy, text).expect("the runtime config file");
            command.arg("--runtime-config-file").arg(copy);
        }
        if !self.has("--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(&self.args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts the host and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(self) -> Host {
        let (own, dir) = match &self.dir {
            Some(dir) => (None, dir.clone()),
            None => {
                let own = tempfile::tempdir().expect("a folder for the state");
                let dir = own.path().to_owned();
                (Some(own), dir)
            }
        };
        let mut child = self.command(&dir).spawn().expect("the host's binary");
        let output = Output::of(&mut child);
        let url = output.url(&mut child);
        Host {
            child,
            output,
            url,
            client: client(),
            dir,
            _own: own,
        }
    }

    /// Starts a host and kills it after so long, however far it has come.
    ///
    /// # Panics
    /// When there is no binary.
    pub fn kill_at_start(self, after: Duration) {
        let dir = self.dir.clone().expect("a folder that outlives the host");
        let mut child = self.command(&dir).spawn().expect("the host's binary");
        let _output = Output::of(&mut child);
        std::thread::sleep(after);
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Starts a host that is expected to give up, and waits for it.
    ///
    /// # Panics
    /// When it is still there after two minutes.
    pub fn fail(self) -> Exit {
        let dir = tempfile::tempdir().expect("a folder for the state");
        let mut child = self.command(dir.path()).spawn().expect("the host's binary");
        let output = Output::of(&mut child);
        let status = wait(&mut child, START).expect("the host to give up");
        Exit {
            code: status.code(),
            output: output.rest(),
        }
    }
}

/// The environment variable that sets a variable of the application.
fn variable(name: &str) -> String {
    format!("SPIN_VARIABLE_{}", name.to_uppercase())
}

/// How a process ended.
#[derive(Debug)]
pub struct Exit {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote.
    pub output: String,
}

/// Everything a process writes, as it comes.
struct Output {
    lines: Mutex<Receiver<String>>,
    all: Arc<Mutex<String>>,
}

impl Output {
    fn of(child: &mut Child) -> Self {
        let (sender, lines) = channel();
        let all = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("piped")),
            Box::new(child.stderr.take().expect("piped")),
        ];
        for stream in streams {
            let (sender, all) = (sender.clone(), all.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    all.lock().expect("no panic").push_str(&format!("{line}\n"));
                    let _ = sender.send(line);
                }
            });
        }
        Self {
            lines: Mutex::new(lines),
            all,
        }
    }

    /// The URL of the line that says the host serves.
    fn url(&self, child: &mut Child) -> String {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            match self
                .lines
                .lock()
                .expect("no panic")
                .recv_timeout(Duration::from_millis(100))
            {
                Ok(line) => {
                    if let Some(url) = served_url(&line) {
                        return url.to_owned();
                    }
                }
                Err(_) if child.try_wait().is_ok_and(|ended| ended.is_some()) => break,
                Err(_) => {}
            }
        }
        let _ = child.kill();
        panic!("the host does not serve:\n{}", self.text());
    }

    fn text(&self) -> String {
        self.all.lock().expect("no panic").clone()
    }

    /// All of it, once the process has closed its streams.
    fn rest(&self) -> String {
        while self.lines.lock().expect("no panic").recv().is_ok() {}
        self.text()
    }
}

/// The URL in a line that says the host serves.
fn served_url(line: &str) -> Option<&str> {
    let rest = &line[line.to_ascii_lowercase().find("serving")?..];
    let url = &rest[rest.find("http://")?..];
    let end = url[7..].find(|c: char| !matches!(c, '0'..='9' | '.' | ':'));
    Some(end.map_or(url, |end| &url[..7 + end]))
}

/// A host that serves. Killed when dropped.
pub struct Host {
    child: Child,
    output: Output,
    client: Client,
    /// Where it serves, without a trailing slash.
    pub url: String,
    /// Its working directory; its state is in `state` below it.
    pub dir: PathBuf,
    _own: Option<TempDir>,
}

impl Host {
    /// A GET request, to be sent.
    pub fn request(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    /// The answer to a GET.
    pub fn get(&self, path: &str) -> Reply {
        Reply::to(self.request(path))
    }

    /// The answer to a POST.
    pub fn post(&self, path: &str, body: impl Into<reqwest::blocking::Body>) -> Reply {
        Reply::to(self.client.post(format!("{}{path}", self.url)).body(body))
    }

    /// `host:port` it listens on.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// What it has written when this is a part of it, which may be a little after the answer.
    ///
    /// # Panics
    /// When it is not for 30 seconds.
    pub fn says(&self, text: &str) -> String {
        eventually(text, || self.output().contains(text));
        self.output()
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is no longer there.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a pid"));
        kill(pid, signal).expect("the host is there");
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it is still there after `limit`.
    pub fn wait(mut self, limit: Duration) -> Exit {
        let status = wait(&mut self.child, limit).expect("the host to end in time");
        Exit {
            code: status.code(),
            output: self.output.rest(),
        }
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the host wrote:\n{}", self.output.text());
        }
    }
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}
