//! Which instances a cluster has: one line for each, in a file of its folder that everybody may read.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::workspace::Workspace;

/// The file, in the folder of the cluster.
const FILE: &str = "instances";

/// What its first line says while everything is being ended.
const CLOSING: &str = "closing";

/// A cluster: the folder that has its state, its data and its logs.
#[derive(Clone)]
pub struct Cluster {
    /// Absolute, and without links: it tells our processes from others.
    pub dir: PathBuf,
}

/// Its instances.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Everything is being ended, and nothing is started any more.
    pub closing: bool,
    pub instances: Vec<Instance>,
}

/// An instance of a service: a process, or what is left of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Such as `products-2`.
    pub name: String,
    pub service: String,
    /// Its process, which may be gone; 0 before the first start.
    pub pid: u32,
    /// Where it listens, again after each restart.
    pub listen: SocketAddr,
    /// Where others reach it.
    pub url: String,
    /// It was told to end.
    pub leaving: bool,
}

impl Cluster {
    /// The one in this folder, whether it runs or not; the folder is made.
    pub fn create(dir: &Path) -> anyhow::Result<Self> {
        let made = fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
        let dir = made.with_context(|| dir.display().to_string())?;
        Ok(Self { dir })
    }

    /// The one that runs in this folder, or in that of the workspace.
    pub fn find(state_dir: Option<OsString>) -> anyhow::Result<Self> {
        let dir = match state_dir {
            Some(dir) => PathBuf::from(dir),
            None => Self::usual_dir(&Workspace::load()?),
        };
        match dir.canonicalize() {
            Ok(dir) if dir.join(FILE).exists() => Ok(Self { dir }),
            _ => bail!(
                "no cluster runs in {}: start one with `cargo xtask cluster up`, or say with --state-dir where it is",
                dir.display()
            ),
        }
    }

    /// Where a cluster is unless told.
    pub fn usual_dir(workspace: &Workspace) -> PathBuf {
        workspace.state_dir().join("cluster")
    }

    /// What there is now; nothing after the cluster has ended.
    pub fn state(&self) -> anyhow::Result<State> {
        let file = self.dir.join(FILE);
        match fs::read_to_string(&file) {
            Ok(text) => State::parse(&text).with_context(|| file.display().to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State {
                closing: true,
                instances: Vec::new(),
            }),
            Err(error) => Err(error).with_context(|| file.display().to_string()),
        }
    }

    /// Makes a change that others see entirely or not at all, one after the other.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut State) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let _until_dropped = self.lock()?;
        let mut state = self.state()?;
        let result = change(&mut state)?;
        self.write(&state)?;
        Ok(result)
    }

    /// Makes the caller the only one who starts this cluster, until the file is dropped.
    pub fn take(&self) -> anyhow::Result<File> {
        let taken = self.open_for_locking("up")?;
        let runs = |it: &Instance| self.is_there(it);
        if taken.try_lock().is_err() || self.state()?.instances.iter().any(runs) {
            bail!(
                "a cluster runs in {} already: end it with `cargo xtask cluster down`, or take another --state-dir",
                self.dir.display()
            );
        }
        Ok(taken)
    }

    /// Waits a little until whoever has started this cluster is gone as well.
    pub fn wait_until_free(&self) -> anyhow::Result<()> {
        let taken = self.open_for_locking("up")?;
        let deadline = Instant::now() + Duration::from_secs(5);
        while taken.try_lock().is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Begins with these instances.
    pub fn begin(&self, instances: Vec<Instance>) -> anyhow::Result<()> {
        let _until_dropped = self.lock()?;
        self.write(&State {
            closing: false,
            instances,
        })
    }

    /// Forgets everything, once all is ended.
    pub fn end(&self) -> anyhow::Result<()> {
        let _until_dropped = self.lock()?;
        match fs::remove_file(self.dir.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> anyhow::Result<File> {
        let lock = self.open_for_locking("lock")?;
        lock.lock()?;
        Ok(lock)
    }

    fn open_for_locking(&self, name: &str) -> anyhow::Result<File> {
        let file = self.dir.join(name);
        File::create(&file).with_context(|| file.display().to_string())
    }

    fn write(&self, state: &State) -> anyhow::Result<()> {
        let unfinished = self.dir.join(format!("{FILE}.new"));
        let mut file = File::create(&unfinished)?;
        file.write_all(state.text().as_bytes())?;
        fs::rename(unfinished, self.dir.join(FILE))?;
        Ok(())
    }
}

impl State {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let (closing, lines) = match text.strip_prefix(CLOSING) {
            Some(lines) => (true, lines),
            None => (false, text),
        };
        let lines = lines.lines().filter(|line| !line.is_empty());
        Ok(Self {
            closing,
            instances: lines.map(Instance::parse).collect::<anyhow::Result<_>>()?,
        })
    }

    fn text(&self) -> String {
        let lines: String = self.instances.iter().map(Instance::line).collect();
        match self.closing {
            true => format!("{CLOSING}\n{lines}"),
            false => lines,
        }
    }

    /// The instances of a service.
    pub fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Instance> {
        self.instances
            .iter()
            .filter(move |it| it.service == service)
    }

    /// The instance of this name, or those of the service of this name.
    pub fn named(&self, name: &str) -> anyhow::Result<Vec<Instance>> {
        let named = |it: &&Instance| it.name == name || it.service == name;
        let found: Vec<_> = self.instances.iter().filter(named).cloned().collect();
        if found.is_empty() {
            let names: Vec<_> = self.instances.iter().map(|it| &*it.name).collect();
            bail!(
                "there is no instance or service {name:?}, but {}",
                names.join(", ")
            );
        }
        Ok(found)
    }

    /// Where the one instance of a service is.
    pub fn url(&self, service: &str) -> anyhow::Result<&str> {
        let instance = self.instances.iter().find(|it| it.service == service);
        let instance = instance.with_context(|| format!("the cluster has no {service}"))?;
        Ok(&instance.url)
    }

    /// Takes an instance in, in the place of the one of the same name.
    pub fn put(&mut self, instance: Instance) {
        match self
            .instances
            .iter_mut()
            .find(|it| it.name == instance.name)
        {
            Some(known) => *known = instance,
            None => {
                self.instances.push(instance);
                self.instances.sort_by_key(|it| (it.rank(), it.number()));
            }
        }
    }
}

impl Instance {
    fn parse(line: &str) -> anyhow::Result<Self> {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [name, service, pid, listen, url, what] = fields[..] else {
            bail!("the line {line:?} is not one of ours");
        };
        Ok(Self {
            name: name.to_owned(),
            service: service.to_owned(),
            pid: pid.parse()?,
            listen: listen.parse()?,
            url: url.to_owned(),
            leaving: what == "leaving",
        })
    }

    fn line(&self) -> String {
        let Self {
            name,
            service,
            pid,
            listen,
            url,
            leaving,
        } = self;
        let what = if *leaving { "leaving" } else { "serving" };
        format!("{name} {service} {pid} {listen} {url} {what}\n")
    }

    /// Which one of its service it is.
    pub fn number(&self) -> usize {
        let number = self.name.rsplit('-').next();
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    fn rank(&self) -> Option<usize> {
        let services = super::up::SERVICES.iter();
        services
            .map(|(service, _)| *service)
            .position(|service| service == self.service)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn instance(name: &str) -> Instance {
        Instance {
            name: name.into(),
            service: name.rsplit_once('-').unwrap().0.into(),
            pid: 12,
            listen: "127.0.0.1:4001".parse().unwrap(),
            url: "http://127.0.0.1:4001".into(),
            leaving: name == "orders-1",
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut state = State::default();
        for name in ["orders-2", "products-10", "products-2", "orders-1"] {
            state.put(instance(name));
        }
        assert_eq!(State::parse(&state.text()).unwrap(), state);
        let names: Vec<_> = state.instances.iter().map(|it| &*it.name).collect();
        assert_eq!(names, ["products-2", "products-10", "orders-1", "orders-2"]);
        state.closing = true;
        assert_eq!(State::parse(&state.text()).unwrap(), state);
    }

    #[test]
    fn an_instance_and_a_service_can_be_named() {
        let mut state = State::default();
        state.put(instance("orders-1"));
        state.put(instance("orders-2"));
        assert_eq!(state.named("orders").unwrap().len(), 2);
        assert_eq!(state.named("orders-2").unwrap().len(), 1);
        let error = state.named("orders-3").unwrap_err().to_string();
        assert!(error.contains("but orders-1, orders-2"), "{error}");
    }

    #[test]
    fn changes_are_kept_and_an_end_is_final() {
        let dir = std::env::temp_dir().join(format!("souk-xtask-state-{}", std::process::id()));
        let cluster = Cluster::create(&dir).unwrap();
        assert!(cluster.state().unwrap().closing);
        cluster.begin(vec![instance("orders-1")]).unwrap();
        let change = |state: &mut State| {
            state.instances[0].pid = 0;
            Ok(())
        };
        cluster.change(change).unwrap();
        assert_eq!(cluster.state().unwrap().instances[0].pid, 0);
        cluster.end().unwrap();
        assert!(cluster.state().unwrap().closing);
        fs::remove_dir_all(&dir).unwrap();
    }
}
