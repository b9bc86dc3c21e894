//! `cargo xtask cluster up`: starts a cluster, watches it, and ends it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lexopt::ValueExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::ports;
use super::process::RUNTIME_CONFIG;
use super::scale;
use super::settings::Settings;
use super::state::{Cluster, Instance};
use crate::build::{self, HOST_PROFILE};
use crate::secrets::{self, secret};
use crate::shop::Shop;
use crate::up::{People, free_address, load_demo_once, metrics_token, url, welcome};
use crate::workspace::Workspace;

/// The services, in the order they are shown, and how many instances each has unless told.
pub const SERVICES: [(&str, usize); 12] = [
    ("registry", 1),
    ("products", 2),
    ("orders", 2),
    ("inventory", 2),
    ("users", 1),
    ("carts", 1),
    ("payments", 1),
    ("notifications", 1),
    ("events", 1),
    ("telemetry", 1),
    ("gateway", 1),
    ("storefront", 1),
];

/// How often the processes are looked after.
const LOOK: Duration = Duration::from_millis(50);

/// Whether a service has one address that everybody knows, and so one instance.
pub fn is_single(service: &str) -> bool {
    ["registry", "gateway", "storefront"].contains(&service)
}

/// What was asked for.
struct Options {
    listen: SocketAddr,
    state_dir: Option<OsString>,
    build: bool,
    load_demo: bool,
    variables: Vec<(String, String)>,
    instances: BTreeMap<String, usize>,
}

/// Runs the subcommand.
pub fn run(own: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let options = Options::parse(own)?;
    let workspace = Workspace::load()?;
    let dir = options.state_dir.as_ref().map(PathBuf::from);
    let cluster = Cluster::create(&dir.unwrap_or_else(|| Cluster::usual_dir(&workspace)))?;
    let _taken = cluster.take()?;
    // Asked before the build, which may take minutes.
    let places = Places::hold(options.listen)?;
    let souk = souk(&workspace, options.build)?;

    let people = People::of(&cluster.dir)?;
    let settings = settings(&workspace, &cluster, souk, &people, &options)?;
    settings.keep(&cluster)?;
    write_runtime_config(&workspace, &cluster)?;

    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let instances = plan(places, &options.instances)?;
    cluster.begin(instances.clone())?;
    let children = Children::start(&cluster, &settings, &instances);
    let opening = Opening::start(&cluster, settings, people, options.load_demo);
    let ended = children.and_then(|mut children| watch(&cluster, &mut children, &mut signals));
    opening.stop();
    cluster.close(|| signals.pending().next().is_some())?;
    ended
}

impl Options {
    fn parse(own: Vec<OsString>) -> anyhow::Result<Self> {
        let mut options = Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)),
            state_dir: None,
            build: true,
            load_demo: true,
            variables: Vec::new(),
            instances: BTreeMap::new(),
        };
        let mut parser = lexopt::Parser::from_args(own);
        while let Some(arg) = parser.next()? {
            match arg {
                lexopt::Arg::Long("listen") => options.listen = parser.value()?.parse()?,
                lexopt::Arg::Long("state-dir") => options.state_dir = Some(parser.value()?),
                lexopt::Arg::Long("no-build") => options.build = false,
                lexopt::Arg::Long("no-seed") => options.load_demo = false,
                lexopt::Arg::Long("variable") => options
                    .variables
                    .push(pair("--variable NAME=VALUE", parser.value()?.string()?)?),
                lexopt::Arg::Long("instances") => {
                    let (service, number) =
                        pair("--instances SERVICE=N", parser.value()?.string()?)?;
                    let number = number.parse();
                    let number = number.context("--instances SERVICE=N takes a number")?;
                    scale::check(&service, number)?;
                    options.instances.insert(service, number);
                }
                _ => return Err(arg.unexpected().into()),
            }
        }
        let ip = options.listen.ip();
        if !ip.is_ipv4() || !(ip.is_loopback() || ip.is_unspecified()) {
            bail!("--listen takes 127.0.0.1:PORT, or 0.0.0.0:PORT to be reached from elsewhere");
        }
        Ok(options)
    }
}

fn pair(usage: &str, text: String) -> anyhow::Result<(String, String)> {
    let (name, value) = text
        .split_once('=')
        .with_context(|| format!("{text:?} has no `=`: {usage}"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The host: built, or the one that there is.
fn souk(workspace: &Workspace, build: bool) -> anyhow::Result<PathBuf> {
    if build {
        build::components(workspace)?;
        return build::host(workspace, HOST_PROFILE);
    }
    let built = || workspace.host_binary(HOST_PROFILE);
    let souk = std::env::var_os("SOUK_BIN").map_or_else(built, PathBuf::from);
    let souk = std::path::absolute(souk)?;
    if !souk.exists() {
        bail!(
            "there is no host at {}: leave out --no-build",
            souk.display()
        );
    }
    Ok(souk)
}

/// What is typed goes before the environment, and that before what is made.
fn settings(
    workspace: &Workspace,
    cluster: &Cluster,
    souk: PathBuf,
    people: &People,
    options: &Options,
) -> anyhow::Result<Settings> {
    let mut settings = Settings {
        root: workspace.root.clone(),
        souk,
        variables: BTreeMap::new(),
    };
    let key = secret(
        "SPIN_VARIABLE_SERVICE_KEY",
        &cluster.dir.join("service-key"),
        secrets::key,
    )?;
    settings.set("service_key", &key);
    settings.set("metrics_token", &metrics_token(&cluster.dir)?);
    settings.set("admin_email", &people.admin.email);
    settings.set("admin_password", &people.admin.password);
    settings.set_from_environment();
    for (name, value) in &options.variables {
        settings.set(name, value);
    }
    Ok(settings)
}

/// The runtime config of the workspace with this cluster's files, where all instances of a service find the same ones: paths
/// of SQLite databases would count from the working directory, those of key-value stores from the folder of the file.
fn write_runtime_config(workspace: &Workspace, cluster: &Cluster) -> anyhow::Result<()> {
    let usual = workspace.root.join(RUNTIME_CONFIG);
    let text = fs::read_to_string(&usual).with_context(|| usual.display().to_string())?;
    let dir = cluster.dir.to_str();
    let dir = dir.filter(|dir| !dir.contains(['"', '\\']));
    let dir =
        dir.context("the name of the state folder has characters that a config cannot have")?;
    let text = text.replace("path = \".spin/", &format!("path = \"{dir}/"));
    fs::write(cluster.dir.join(RUNTIME_CONFIG), text)?;
    Ok(())
}

/// The two addresses that people know, kept from others until the processes take them over.
struct Places {
    gateway: TcpListener,
    storefront: TcpListener,
}

impl Places {
    fn hold(mut listen: SocketAddr) -> anyhow::Result<Self> {
        if listen.port() == 0 {
            listen.set_port(ports::free(&[])?.local_addr()?.port());
        }
        let gateway = free_address(listen)?;
        let next = gateway.port().checked_add(1);
        let next = next.context("the storefront has no port after 65535")?;
        let storefront = free_address(SocketAddr::new(gateway.ip(), next));
        let storefront = storefront.context("the storefront is on the port after the gateway's")?;
        Ok(Self {
            gateway: TcpListener::bind(gateway)?,
            storefront: TcpListener::bind(storefront)?,
        })
    }

    fn of(&self, service: &str) -> Option<&TcpListener> {
        match service {
            "gateway" => Some(&self.gateway),
            "storefront" => Some(&self.storefront),
            _ => None,
        }
    }
}

/// All instances, not started yet, each with a port.
fn plan(places: Places, numbers: &BTreeMap<String, usize>) -> anyhow::Result<Vec<Instance>> {
    let (mut instances, mut held) = (Vec::new(), Vec::new());
    for (service, usual) in SERVICES {
        for number in 1..=numbers.get(service).copied().unwrap_or(usual) {
            let listen = match places.of(service) {
                Some(place) => place.local_addr()?,
                None => {
                    let place = ports::free(&[])?;
                    let listen = place.local_addr()?;
                    held.push(place);
                    listen
                }
            };
            instances.push(Instance {
                name: format!("{service}-{number}"),
                service: service.to_owned(),
                pid: 0,
                listen,
                url: url(listen),
                leaving: false,
            });
        }
    }
    Ok(instances)
}

/// The processes that were started here; `restart` and `scale` start others.
struct Children(Vec<Child>);

impl Children {
    /// Starts all at once. Those that come before the registry try again to register.
    fn start(
        cluster: &Cluster,
        settings: &Settings,
        instances: &[Instance],
    ) -> anyhow::Result<Self> {
        let mut children = Vec::new();
        for instance in instances {
            children.push(cluster.start(settings, instance.clone(), None)?);
        }
        Ok(Self(children))
    }

    /// Forgets those that have ended, and says how.
    fn reap(&mut self) -> BTreeMap<u32, ExitStatus> {
        let mut ended = BTreeMap::new();
        self.0.retain_mut(|child| match child.try_wait() {
            Ok(Some(status)) => {
                ended.insert(child.id(), status);
                false
            }
            _ => true,
        });
        ended
    }
}

/// Looks after the processes until a signal comes, or somebody else ends the cluster.
fn watch(
    cluster: &Cluster,
    children: &mut Children,
    signals: &mut Signals,
) -> anyhow::Result<ExitCode> {
    let mut there = BTreeMap::new();
    while signals.pending().next().is_none() {
        let ended = children.reap();
        let state = cluster.state()?;
        if state.closing {
            break;
        }
        for instance in &state.instances {
            let was_there = there.get(&instance.name) == Some(&instance.pid);
            if cluster.is_there(instance) {
                there.insert(instance.name.clone(), instance.pid);
            } else if (was_there || ended.contains_key(&instance.pid)) && !instance.leaving {
                there.remove(&instance.name);
                report(instance, ended.get(&instance.pid));
            }
        }
        thread::sleep(LOOK);
    }
    Ok(ExitCode::SUCCESS)
}

fn report(instance: &Instance, status: Option<&ExitStatus>) {
    let Instance { name, pid, .. } = instance;
    let how = status.map_or(String::new(), |status| format!(" ({status})"));
    eprintln!(
        "{name} has ended{how}, process {pid}: `cargo xtask cluster restart {name}` starts it again"
    );
}

/// Waits for the cluster to serve, loads the demo data and says how to log in, beside what else is to be done.
struct Opening {
    stopped: Arc<AtomicBool>,
}

impl Opening {
    fn start(cluster: &Cluster, settings: Settings, people: People, load_demo: bool) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let (cluster, told) = (cluster.clone(), stopped.clone());
        thread::spawn(move || {
            let opened = open(&cluster, &settings, &people, load_demo, &told);
            if let Err(error) = opened
                && !told.load(Ordering::Relaxed)
            {
                eprintln!("{error:#}");
            }
        });
        Self { stopped }
    }

    /// It has nothing to say any more.
    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

fn open(
    cluster: &Cluster,
    settings: &Settings,
    people: &People,
    load_demo: bool,
    stopped: &AtomicBool,
) -> anyhow::Result<()> {
    let (begun, stopped) = (Instant::now(), || stopped.load(Ordering::Relaxed));
    let state = cluster.state()?;
    for instance in &state.instances {
        cluster.wait_until_it_serves(&instance.name, stopped)?;
    }
    // A gateway that asked the registry earlier would believe for a while that there is nobody.
    for instance in &state.instances {
        cluster.wait_until_listed(settings.service_key(), &instance.name, None)?;
    }
    let shop = Shop::new(state.url("gateway")?);
    while !reaches_all(&shop) && !stopped() {
        thread::sleep(LOOK);
    }
    if stopped() {
        return Ok(());
    }
    let seconds = begun.elapsed().as_secs_f32();
    println!(
        "{} processes serve after {seconds:.1} s:\n",
        state.instances.len()
    );
    for instance in &cluster.state()?.instances {
        let Instance { name, pid, url, .. } = instance;
        println!("  {name:<16} {url:<24} process {pid}");
    }
    let loaded = match load_demo {
        true => load_demo_once(&settings.root, &cluster.dir, &shop, people),
        false => Ok(()),
    };
    if stopped() {
        return Ok(());
    }
    if let Err(error) = &loaded {
        eprintln!("the demo data is not loaded: {error:#}");
    }
    let customer = (load_demo && loaded.is_ok()).then_some(&people.customer);
    println!("\nThe storefront is at {}", state.url("storefront")?);
    let welcome = welcome(&shop.url, &people.admin, customer, settings.metrics_token());
    print!("{welcome}");
    Ok(())
}

/// Whether the gateway finds every service.
fn reaches_all(shop: &Shop) -> bool {
    shop.get("/api/health")
        .is_ok_and(|answer| answer.status == 200 && answer.body["status"] == "ok")
}
