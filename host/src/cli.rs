//! The command line: Spin's flags with Spin's meaning.

use crate::register::BaseUrl;
use clap::{Args, Parser, Subcommand, ValueEnum};
use rand::Rng;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Runs Spin applications in one small process.
#[derive(Parser)]
#[command(name = "souk", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Start an application and serve it.
    Up(Box<Up>),
}

/// Flags of `souk up`.
#[derive(Args)]
pub struct Up {
    /// The manifest, or the folder it is in.
    #[arg(
        short = 'f',
        long = "from",
        visible_alias = "file",
        default_value = "spin.toml"
    )]
    pub from: PathBuf,
    /// Address to serve on; port 0 takes a free one.
    #[arg(long, env = "SPIN_HTTP_LISTEN_ADDR", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// What stands behind the manifest's labels.
    #[arg(long, env = "RUNTIME_CONFIG_FILE")]
    pub runtime_config_file: Option<PathBuf>,
    /// Folder for state and logs (default: `.spin` beside the manifest).
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
    /// Environment variable for every component, as NAME=VALUE; may be repeated.
    #[arg(short = 'e', long = "env", value_parser = parse_pair)]
    pub env: Vec<(String, String)>,
    /// Application variable, as NAME=VALUE or NAME=@FILE; may be repeated.
    #[arg(long = "variable", value_parser = parse_pair)]
    pub variables: Vec<(String, String)>,
    /// Run this component only; may be repeated.
    #[arg(short = 'c', long = "component-id")]
    pub components: Vec<String>,
    /// Keep components' output out of the terminal (it goes to the logs all the same).
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// Requests an instance serves before it is dropped: N or MIN..MAX.
    #[arg(long, default_value = "128", value_parser = parse_count)]
    pub max_instance_reuse_count: Span<usize>,
    /// Requests an instance serves at once: N or MIN..MAX.
    #[arg(long, default_value = "16", value_parser = parse_count)]
    pub max_instance_concurrent_reuse_count: Span<usize>,
    /// Longest time a component may take to begin its answer: 30s, 500ms or MIN..MAX.
    #[arg(long, default_value = "30s", value_parser = parse_range::<Interval>)]
    pub request_timeout: Span<Interval>,
    /// How long an instance with nothing to do is kept: 1s, 500ms or MIN..MAX.
    #[arg(long, default_value = "1s", value_parser = parse_range::<Interval>)]
    pub idle_instance_timeout: Span<Interval>,
    /// Compile every component anew and keep no compiled code.
    #[arg(long)]
    pub disable_cache: bool,
    /// Call `POST /internal/tick` of every component this often, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub tick: Option<u64>,
    /// Keep every component with a public route registered with this registry of services.
    #[arg(long, value_name = "URL")]
    pub register: Option<BaseUrl>,
    /// Where others reach this host, as told to the registry (default: where it listens).
    #[arg(long, value_name = "URL", requires = "register")]
    pub advertise: Option<BaseUrl>,
    /// For tests: have requests of components fail as this JSON file says, while it says so.
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// How the host writes its own lines.
    #[arg(long, value_enum, default_value = "plain")]
    pub format: Format,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Plain,
    /// One JSON object a line, for machines.
    Json,
}

/// A value, or a range one is drawn from for each new instance (`MIN..MAX`, MAX excluded).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span<T> {
    low: T,
    high: Option<T>,
}

impl Span<usize> {
    /// Draws a value.
    pub fn draw(&self) -> usize {
        match self.high {
            Some(high) => rand::rng().random_range(self.low..high),
            None => self.low,
        }
    }
}

impl Span<Interval> {
    /// Draws a value.
    pub fn draw(&self) -> Duration {
        match self.high {
            Some(high) => rand::rng().random_range(self.low.0..high.0),
            None => self.low.0,
        }
    }

    /// The shortest value it can draw.
    pub fn shortest(&self) -> Duration {
        self.low.0
    }
}

/// A duration on the command line: a number of seconds, or with suffix `s`, `ms`, `us`, `ns`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Interval(pub Duration);

impl std::str::FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let number: u64 = digits
            .parse()
            .map_err(|_| format!("{text:?} is not a time; write 30s, 500ms, 10us or 10ns"))?;
        let duration = match &text[digits.len()..] {
            "" | "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            "us" => Duration::from_micros(number),
            "ns" => Duration::from_nanos(number),
            unit => {
                return Err(format!(
                    "{unit:?} is not a unit of time; use s, ms, us or ns"
                ));
            }
        };
        Ok(Self(duration))
    }
}

fn parse_range<T>(text: &str) -> Result<Span<T>, String>
where
    T: std::str::FromStr + PartialOrd + Clone + Send + Sync,
    T::Err: std::fmt::Display,
{
    let parse = |text: &str| text.parse::<T>().map_err(|e| e.to_string());
    let Some((low, high)) = text.split_once("..") else {
        let low = parse(text)?;
        return Ok(Span { low, high: None });
    };
    let (low, high) = (parse(low)?, parse(high)?);
    if low >= high {
        return Err(format!("{text:?} is an empty range"));
    }
    Ok(Span {
        low,
        high: Some(high),
    })
}

fn parse_count(text: &str) -> Result<Span<usize>, String> {
    match parse_range(text)? {
        Span { low: 0, .. } => Err("an instance has to serve at least 1 request".into()),
        span => Ok(span),
    }
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} has no `=`; write NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_spin_reads_them() {
        let time = |text: &str| text.parse::<Interval>().map(|i| i.0);
        assert_eq!(time("30").unwrap(), Duration::from_secs(30));
        assert_eq!(time("2s").unwrap(), Duration::from_secs(2));
        assert_eq!(time("150ms").unwrap(), Duration::from_millis(150));
        assert!(time("5h").is_err());
        assert!(time("s").is_err());
    }

    #[test]
    fn a_range_draws_inside_itself() {
        let span = parse_range::<usize>("3..5").unwrap();
        assert!((0..100).all(|_| (3..5).contains(&span.draw())));
        assert!(parse_range::<usize>("5..5").is_err());
        assert!(parse_count("0").is_err());
        assert_eq!(parse_range::<usize>("7").unwrap().draw(), 7);
    }
}
