//! The process of an instance: how it is started, found and signalled.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ureq::Agent;

use super::registry::{self, Listed};
use super::settings::{Settings, environment_name};
use super::state::{Cluster, Instance, State};

/// The variable that names who receives telemetry, to every exporter.
const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// How often metrics are sent to the `telemetry` of a cluster, in milliseconds: as often as to that of one process.
const METRIC_INTERVAL: (&str, &str) = ("OTEL_METRIC_EXPORT_INTERVAL", "10000");

/// What stands behind the labels of the manifests, in the folder of the cluster.
pub const RUNTIME_CONFIG: &str = "runtime-config.toml";

/// Where instances may be called: on this machine.
const INSTANCES: &str = "http://127.0.0.1:*";

/// How often what is due is done, in seconds.
const TICK: &str = "2";

/// How long an instance may take to end: it serves on for 3 s, and finishes what runs within 10 s.
const END: Duration = Duration::from_secs(16);

/// How long one may take to serve: the first time its component is compiled.
const START: Duration = Duration::from_secs(120);

/// How long the registry may take to list an instance that serves.
const LISTING: Duration = Duration::from_secs(20);

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(20);

/// What has become of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Running,
    /// By SIGSTOP.
    Stopped,
    Dead,
}

impl Cluster {
    /// Where an instance writes what it has to say.
    pub fn log_dir(&self, instance: &Instance) -> PathBuf {
        self.dir.join("logs").join(&instance.name)
    }

    /// Starts an instance and notes it down, unless everything is being ended.
    pub fn start(
        &self,
        settings: &Settings,
        mut instance: Instance,
        manifest: Option<&Path>,
    ) -> anyhow::Result<Child> {
        self.change(|state| {
            if state.closing {
                bail!("the cluster is being ended");
            }
            let mut known = state.instances.iter();
            if known.any(|it| it.name == instance.name && self.is_there(it)) {
                bail!("{} runs already", instance.name);
            }
            let mut command = self.command(settings, state, &instance, manifest)?;
            let mut child = command
                .spawn()
                .with_context(|| format!("cannot start {}", settings.souk.display()))?;
            instance.pid = child.id();
            instance.leaving = false;
            // It has its arguments, by which it is known, a moment after it was made.
            while !self.is_there(&instance) && child.try_wait()?.is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            state.put(instance);
            Ok(child)
        })
    }

    fn command(
        &self,
        settings: &Settings,
        state: &State,
        instance: &Instance,
        manifest: Option<&Path>,
    ) -> anyhow::Result<Command> {
        let logs = self.log_dir(instance);
        fs::create_dir_all(&logs)?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(logs.join("host.txt"))?;
        let usual = settings.root.join("components").join(&instance.service);
        let registry = state.url("registry")?;
        let discovery = match &*instance.service {
            "storefront" => state.url("gateway")?,
            _ => "registry",
        };
        let mut command = Command::new(&settings.souk);
        command
            .arg("up")
            .arg("--from")
            .arg(manifest.unwrap_or(&usual.join("spin.toml")))
            .arg("--runtime-config-file")
            .arg(self.dir.join(RUNTIME_CONFIG))
            // By this it is known to be ours.
            .arg("--state-dir")
            .arg(&logs)
            .args(["--listen", &instance.listen.to_string()])
            .args(["--advertise", &instance.url])
            .args(["--register", registry])
            .args(["--tick", TICK, "--quiet"])
            .envs(settings.environment())
            // The log is read as it is.
            .env("NO_COLOR", "1")
            .env(environment_name("discovery"), discovery)
            .env(environment_name("registry_url"), registry)
            .env(environment_name("instances"), INSTANCES)
            .current_dir(&settings.root)
            // The terminal sends Ctrl-C to us alone, and each instance gets one signal, from us.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // Somebody else receives telemetry where the environment says so, which the instances inherit.
        if std::env::var_os(OTLP_ENDPOINT).is_none() {
            command.env(OTLP_ENDPOINT, state.url("telemetry")?);
        }
        let (name, value) = METRIC_INTERVAL;
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
        Ok(command)
    }

    /// What has become of the process of an instance. One that has its number but not its arguments is another program.
    pub fn condition(&self, instance: &Instance) -> Condition {
        let process = PathBuf::from(format!("/proc/{}", instance.pid));
        // Nothing of one that has ended and was not waited for yet.
        let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
        let logs = self.log_dir(instance);
        let is_ours = |argument: &[u8]| OsStr::from_bytes(argument) == logs.as_os_str();
        if !arguments.split(|byte| *byte == 0).any(is_ours) {
            return Condition::Dead;
        }
        let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
        // After the program's name, which may have anything in it.
        let condition = stat.rsplit(')').next().map(str::trim_start);
        match condition.and_then(|it| it.chars().next()) {
            Some('T' | 't') => Condition::Stopped,
            Some('Z' | 'X') | None => Condition::Dead,
            Some(_) => Condition::Running,
        }
    }

    /// Whether the process of an instance is there, stopped or not.
    pub fn is_there(&self, instance: &Instance) -> bool {
        self.condition(instance) != Condition::Dead
    }

    /// Sends a signal to an instance; false where it is not there.
    pub fn signal(&self, instance: &Instance, signal: Signal) -> anyhow::Result<bool> {
        let is_there = self.is_there(instance);
        Ok(is_there && kill(Pid::from_raw(instance.pid.try_into()?), signal).is_ok())
    }

    /// Tells an instance to end, also one that was stopped.
    pub fn tell_to_end(&self, instance: &Instance) -> anyhow::Result<()> {
        self.signal(instance, Signal::SIGTERM)?;
        self.signal(instance, Signal::SIGCONT)?;
        Ok(())
    }

    /// Has instances leave the registry, finish what runs, and end.
    pub fn drain(&self, instances: &[Instance]) -> anyhow::Result<()> {
        let told = self.change(|state| {
            let known = state.instances.iter_mut();
            let meant = known.filter(|known| instances.iter().any(|it| it.name == known.name));
            // A second signal would end it at once.
            let untold: Vec<_> = meant.filter(|it| !it.leaving).collect();
            let told = untold.iter().map(|it| (**it).clone()).collect::<Vec<_>>();
            untold.into_iter().for_each(|it| it.leaving = true);
            Ok(told)
        })?;
        for instance in &told {
            self.tell_to_end(instance)?;
        }
        self.wait_until_gone(instances, || false)
    }

    /// Waits until these are gone, and kills those that take too long, or all when it is to go faster.
    pub fn wait_until_gone(
        &self,
        instances: &[Instance],
        mut faster: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + END;
        while instances.iter().any(|it| self.is_there(it)) {
            let too_late = Instant::now() >= deadline;
            if too_late || faster() {
                for instance in instances {
                    if self.signal(instance, Signal::SIGKILL)? && too_late {
                        eprintln!("{} did not end in time and was killed", instance.name);
                    }
                }
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Ends everything. When somebody else has begun with that, it is waited for.
    pub fn close(&self, faster: impl FnMut() -> bool) -> anyhow::Result<()> {
        let (instances, untold) = self.change(|state| {
            let all = state.instances.clone();
            let mut untold = all.clone();
            untold.retain(|it| !it.leaving);
            state.closing = true;
            state.instances.iter_mut().for_each(|it| it.leaving = true);
            Ok((all, untold))
        })?;
        for instance in &untold {
            self.tell_to_end(instance)?;
        }
        self.wait_until_gone(&instances, faster)?;
        self.end()
    }

    /// Waits until an instance serves, unless it is given up for.
    pub fn wait_until_it_serves(
        &self,
        name: &str,
        given_up: impl Fn() -> bool,
    ) -> anyhow::Result<()> {
        let http: Agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(1)))
            .proxy(None)
            .build()
            .into();
        let deadline = Instant::now() + START;
        loop {
            let instance = self.present(name)?;
            let log = self.log_dir(&instance).join("host.txt");
            if !self.is_there(&instance) {
                bail!("{name} has ended: {}", last_line(&log));
            }
            let url = format!("{}/.well-known/spin/health", instance.url);
            if http.get(url).call().is_ok() || given_up() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{name} does not serve, see {}", log.display());
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits until the registry lists an instance as up, in another run than this one.
    pub fn wait_until_listed(
        &self,
        service_key: &str,
        name: &str,
        last_run: Option<&str>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + LISTING;
        loop {
            let instance = self.present(name)?;
            let why = match self.listed(service_key, &instance) {
                Ok(Some(it)) if Some(&*it.incarnation) == last_run => "not again".to_owned(),
                Ok(Some(it)) if it.state == "up" => return Ok(()),
                Ok(Some(it)) => it.state,
                Ok(None) => "not at all".to_owned(),
                Err(error) => format!("not at all: {error:#}"),
            };
            if Instant::now() >= deadline {
                bail!(
                    "{name} serves, but the registry lists it {why}; look at `cargo xtask cluster status`"
                );
            }
            thread::sleep(5 * PAUSE);
        }
    }

    /// What the registry says of an instance.
    pub fn listed(&self, service_key: &str, instance: &Instance) -> anyhow::Result<Option<Listed>> {
        let listed = registry::instances(self.state()?.url("registry")?, service_key)?;
        Ok(listed.into_iter().find(|it| it.address == instance.url))
    }

    /// An instance as it is now.
    fn present(&self, name: &str) -> anyhow::Result<Instance> {
        let state = self.state()?;
        if state.closing {
            bail!("the cluster is being ended");
        }
        let instance = state.instances.into_iter().find(|it| it.name == name);
        instance.with_context(|| format!("{name} is no longer there"))
    }
}

fn last_line(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().last().unwrap_or("it wrote nothing").to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn instance(name: &str, pid: u32) -> Instance {
        Instance {
            name: name.into(),
            service: "products".into(),
            pid,
            listen: "127.0.0.1:1".parse().unwrap(),
            url: "http://127.0.0.1:1".into(),
            leaving: false,
        }
    }

    #[test]
    fn another_program_that_got_the_number_is_not_signalled() {
        let dir = std::env::temp_dir().join(format!("souk-xtask-process-{}", std::process::id()));
        let cluster = Cluster::create(&dir).unwrap();
        let logs = cluster.log_dir(&instance("products-1", 0));
        let mut sleep = Command::new("sh");
        sleep.args(["-c", "read _", "sh"]).arg(logs);
        let mut child = sleep.stdin(Stdio::piped()).spawn().unwrap();

        let other = instance("products-2", child.id());
        assert_eq!(cluster.condition(&other), Condition::Dead);
        assert!(!cluster.signal(&other, Signal::SIGKILL).unwrap());

        let ours = instance("products-1", child.id());
        // It has its arguments, by which it is known, a moment after it was made.
        while cluster.condition(&ours) == Condition::Dead {
            thread::sleep(PAUSE);
        }
        assert!(cluster.signal(&ours, Signal::SIGSTOP).unwrap());
        while cluster.condition(&ours) != Condition::Stopped {
            thread::sleep(PAUSE);
        }
        assert!(cluster.signal(&ours, Signal::SIGKILL).unwrap());
        // Also while it was not waited for.
        cluster
            .wait_until_gone(std::slice::from_ref(&ours), || false)
            .unwrap();
        child.wait().unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }
}
