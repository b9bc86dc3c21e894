//! What `cargo xtask infra` runs: holds `infra/` to schemas and to the manifests of the services, and says which images a change concerns.
//!
//! | module | what it knows |
//! |---|---|
//! | [`shop`] | what the services' manifests ask for, and what the template of the runtime configuration offers |
//! | [`objects`] | what Kustomize renders |
//! | [`schemas`] | which fields Kubernetes and SpinKube have |
//! | [`apps`] | whether each service runs, with its variables, stores and probes |
//! | [`settings`] | whether the template of the operator's settings has each that is taken from it |
//! | [`network`] | whether exactly those may talk to each other who have to |
//! | [`observability`] | whether the files for Prometheus, Grafana, Jaeger, Loki and a Collector agree with each other |
//! | [`changed`] | which services a change concerns |

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use lexopt::ValueExt;

mod apps;
mod changed;
mod network;
mod objects;
mod observability;
mod problem;
mod schemas;
mod settings;
mod shop;

use problem::Problem;
use schemas::Schemas;
use shop::Shop;

const USAGE: &str = "\
souk-infra check --kustomize PROGRAM --schemas FILE|--no-schemas REASON
souk-infra changed --since REF";

const OVERLAYS: &str = "infra/spinkube/overlays";
const OWN_SCHEMAS: &str = "infra/spinkube/schemas";

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    // It is run by `cargo xtask infra`, in the root of the repository.
    let root = std::env::current_dir()?;
    if args.is_empty() {
        bail!("{USAGE}");
    }
    match (args.remove(0).to_string_lossy().as_ref(), args) {
        ("check", args) => check(&root, &Options::parse(args)?),
        ("changed", args) => changed::run(&root, args),
        _ => bail!("{USAGE}"),
    }
}

struct Options {
    kustomize: PathBuf,
    /// The definitions of Kubernetes' objects, or why there are none.
    schemas: Result<PathBuf, String>,
}

impl Options {
    fn parse(args: Vec<OsString>) -> anyhow::Result<Self> {
        let (mut kustomize, mut schemas) = (None, None);
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next()? {
            match arg {
                lexopt::Arg::Long("kustomize") => kustomize = Some(parser.value()?.into()),
                lexopt::Arg::Long("schemas") => schemas = Some(Ok(parser.value()?.into())),
                lexopt::Arg::Long("no-schemas") => schemas = Some(Err(parser.value()?.string()?)),
                _ => return Err(arg.unexpected().into()),
            }
        }
        Ok(Self {
            kustomize: kustomize.context(USAGE)?,
            schemas: schemas.context(USAGE)?,
        })
    }
}

fn check(root: &Path, options: &Options) -> anyhow::Result<ExitCode> {
    let shop = Shop::read(root)?;
    let settings = settings::read(root)?;
    let mut sum = Sum::default();
    let kubernetes = match &options.schemas {
        Ok(file) => Some(file.as_path()),
        Err(reason) => {
            sum.skip(&format!("no schemas of Kubernetes: {reason}"));
            None
        }
    };
    let schemas = Schemas::read(&root.join(OWN_SCHEMAS), kubernetes)?;
    sum.add(apps::check_template(&shop));
    for overlay in objects::overlays(&root.join(OVERLAYS))? {
        let folder = format!("{OVERLAYS}/{overlay}");
        let objects = objects::render(&options.kustomize, root, &folder)?;
        println!("{folder}: {} objects", objects.len());
        sum.add(schemas.check_spinkube(&objects)?);
        if let Some(problems) = schemas.check_kubernetes(&objects)? {
            sum.add(problems);
        }
        sum.add(apps::check(&objects, &shop));
        sum.add(network::check(&objects, &shop));
        sum.add(settings::check(&objects, &settings));
    }
    let files = observability::Files::read(root)?;
    println!("{}", observability::FOLDER);
    observability::check(&files)
        .into_iter()
        .for_each(|problems| sum.add(problems));
    Ok(sum.print())
}

/// The score, printed as `cargo xtask lint` prints its own.
#[derive(Default)]
struct Sum {
    passed: usize,
    /// What was wrong. Most of it is in every overlay, and counts once.
    problems: BTreeSet<String>,
    skipped: usize,
}

impl Sum {
    /// Takes the result of one check.
    fn add(&mut self, problems: Vec<Problem>) {
        if problems.is_empty() {
            self.passed += 1;
        }
        for problem in problems.iter().map(Problem::to_string) {
            if !self.problems.contains(&problem) {
                println!("FAILED: {problem}");
                self.problems.insert(problem);
            }
        }
    }

    fn skip(&mut self, reason: &str) {
        self.skipped += 1;
        println!("skipped: {reason}");
    }

    fn print(&self) -> ExitCode {
        let (passed, failed, skipped) = (self.passed, self.problems.len(), self.skipped);
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
