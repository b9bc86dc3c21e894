//! What all processes of a cluster are started with, kept for those that are started later.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, bail};

use super::state::Cluster;

/// The file, in the folder of the cluster. There are secrets in it.
const FILE: &str = "settings";

/// What every variable of the environment begins with that is one of the shop.
const VARIABLE: &str = "SPIN_VARIABLE_";

/// The settings.
#[derive(Debug, Default, PartialEq)]
pub struct Settings {
    /// Where the manifests are.
    pub root: PathBuf,
    /// The host.
    pub souk: PathBuf,
    /// The shop's variables.
    pub variables: BTreeMap<String, String>,
}

impl Settings {
    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_lowercase(), value.to_owned());
    }

    /// Sets what the environment says.
    pub fn set_from_environment(&mut self) {
        for (name, value) in std::env::vars() {
            if let Some(name) = name.strip_prefix(VARIABLE) {
                self.set(name, &value);
            }
        }
    }

    /// The key that services sign with.
    pub fn service_key(&self) -> &str {
        self.variable("service_key")
    }

    /// What Prometheus brings.
    pub fn metrics_token(&self) -> &str {
        self.variable("metrics_token")
    }

    fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// The environment of a process.
    pub fn environment(&self) -> impl Iterator<Item = (String, &str)> {
        let variables = self.variables.iter();
        variables.map(|(name, value)| (environment_name(name), &**value))
    }

    /// Reads those of a cluster.
    pub fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        let file = cluster.dir.join(FILE);
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let mut settings = Self::default();
        for line in text.lines() {
            let (name, value) = line.split_once('=').context("a setting has a `=`")?;
            match name {
                "root" => settings.root = value.into(),
                "souk" => settings.souk = value.into(),
                _ => settings.set(name.trim_start_matches("variable "), value),
            }
        }
        Ok(settings)
    }

    /// Keeps them for the cluster, readable by its owner alone.
    pub fn keep(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let (root, souk) = (self.root.display(), self.souk.display());
        let mut text = format!("root={root}\nsouk={souk}\n");
        for (name, value) in &self.variables {
            if value.contains('\n') {
                bail!("the value of {name} has more than one line, which the cluster cannot keep");
            }
            text += &format!("variable {name}={value}\n");
        }
        let unfinished = cluster.dir.join(format!("{FILE}.new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        fs::rename(unfinished, cluster.dir.join(FILE))?;
        Ok(())
    }
}

/// The variable of the environment that sets a variable of the shop.
pub fn environment_name(variable: &str) -> String {
    format!("{VARIABLE}{}", variable.to_uppercase())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read() {
        let dir = std::env::temp_dir().join(format!("souk-xtask-settings-{}", std::process::id()));
        let cluster = Cluster::create(&dir).unwrap();
        let mut settings = Settings {
            root: "/a b".into(),
            souk: "/souk".into(),
            ..Settings::default()
        };
        settings.set("RATE_LIMIT_CLIENT", "off");
        settings.set("webhook_path", "/?a=b");
        settings.keep(&cluster).unwrap();
        assert_eq!(Settings::of(&cluster).unwrap(), settings);
        settings.set("mail_from", "a\nb");
        assert!(settings.keep(&cluster).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
