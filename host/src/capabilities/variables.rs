//! `spin:variables`: settings from the manifest, the environment and the command line.
//!
//! A component sees the names of its own `[component.<id>.variables]` section; their values are
//! templates over the application's variables. An application variable takes its value from
//! `--variable`, else from `SPIN_VARIABLE_<NAME>`, else from its default.

use crate::bindings::variables;
use crate::instance::InstanceState;
use crate::manifest::Variable;
use crate::problems::Problems;
use std::collections::BTreeMap;
use std::sync::Arc;
use wasmtime::component::{Accessor, HasSelf};

/// The application's variables with their values.
pub struct Variables(BTreeMap<String, String>);

/// A component's settings, resolved; shared by its instances.
pub type Settings = Arc<BTreeMap<String, String>>;

impl Variables {
    /// Finds the value of every variable the manifest defines.
    ///
    /// # Errors
    /// A required variable without a value, a value for a variable that is not defined, a file
    /// (`NAME=@FILE`) that cannot be read.
    pub fn resolve(
        defined: &BTreeMap<String, Variable>,
        given: &[(String, String)],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut values = BTreeMap::new();
        for (name, value) in given {
            match read_given(name, value, defined) {
                Ok(value) => {
                    values.insert(name.clone(), value);
                }
                Err(problem) => problems.push(problem),
            }
        }
        for (name, variable) in defined.iter() {
            if values.contains_key(name) {
                continue;
            }
            let env_name = format!("SPIN_VARIABLE_{}", name.to_uppercase());
            match environment(&env_name).or_else(|| variable.default.clone()) {
                Some(value) => {
                    values.insert(name.clone(), value);
                }
                None => problems.push(format!(
                    "variables.{name}: required but not set; give --variable {name}=VALUE or set {env_name}"
                )),
            }
        }
        problems.into_result(Self(values))
    }

    /// The value of a variable of the application, if it has one of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Phase one: resolves the templates of a component's section.
    ///
    /// # Errors
    /// Each template that names no variable of the application.
    pub fn grant(&self, templates: &BTreeMap<String, String>) -> Result<Settings, Problems> {
        let mut problems = Problems::default();
        let mut settings = BTreeMap::new();
        for (name, template) in templates {
            match self.expand(template) {
                Ok(value) => {
                    settings.insert(name.clone(), value);
                }
                Err(why) => problems.push(format!("variables.{name}: {why}")),
            }
        }
        problems.into_result(Arc::new(settings))
    }

    /// Replaces every `{{ name }}` of a template.
    ///
    /// # Errors
    /// Says which variable is not defined or that a bracket is not closed.
    pub fn expand(&self, template: &str) -> Result<String, String> {
        let mut expanded = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((literal, tail)) = rest.split_once("{{") {
            let (name, tail) = tail
                .split_once("}}")
                .ok_or_else(|| format!("`{{{{` without `}}}}` in {template:?}"))?;
            let name = name.trim();
            let value = self
                .0
                .get(name)
                .ok_or_else(|| format!("{{{{ {name} }}}} is not defined; add it to [variables]"))?;
            expanded.push_str(literal);
            expanded.push_str(value);
            rest = tail;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }
}

fn read_given(
    name: &str,
    value: &str,
    defined: &BTreeMap<String, Variable>,
) -> Result<String, String> {
    if !defined.contains_key(name) {
        return Err(format!(
            "--variable {name}: the manifest defines no variable of this name"
        ));
    }
    match value.strip_prefix('@') {
        None => Ok(value.to_owned()),
        Some(file) => std::fs::read_to_string(file)
            .map_err(|e| format!("--variable {name}: cannot read {file}: {e}")),
    }
}

impl variables::Host for InstanceState {}

impl<T: Send> variables::HostWithStore<T> for HasSelf<InstanceState> {
    async fn get(
        accessor: &Accessor<T, Self>,
        name: String,
    ) -> wasmtime::Result<Result<String, variables::Error>> {
        let value = accessor.with(|mut access| access.get().component.settings.get(&name).cloned());
        Ok(value.ok_or_else(|| {
            variables::Error::Undefined(format!("the manifest gives this component no {name:?}"))
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn defined() -> BTreeMap<String, Variable> {
        let variable = |text: &str| toml::from_str::<Variable>(text).unwrap();
        let with_default = variable("default = 'low'");
        let required = variable("required = true");
        BTreeMap::from([("level".into(), with_default), ("key".into(), required)])
    }

    fn given(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.into(), value.into())]
    }

    #[test]
    fn command_line_beats_environment_beats_default() {
        let env = |name: &str| (name == "SPIN_VARIABLE_LEVEL").then(|| "mid".to_owned());
        let resolved = Variables::resolve(&defined(), &given("key", "k"), env).unwrap();
        assert_eq!(resolved.expand("{{level}}").unwrap(), "mid");
        let both = [given("key", "k"), given("level", "high")].concat();
        let resolved = Variables::resolve(&defined(), &both, env).unwrap();
        assert_eq!(resolved.expand("is {{ level }}!").unwrap(), "is high!");
        let resolved = Variables::resolve(&defined(), &given("key", "k"), |_| None).unwrap();
        assert_eq!(resolved.expand("{{ level }}").unwrap(), "low");
    }

    #[test]
    fn required_and_undefined_variables_stop_the_start() {
        let problem = Variables::resolve(&defined(), &given("colour", "red"), |_| None)
            .err()
            .unwrap()
            .to_string();
        assert!(problem.contains("variables.key: required"), "{problem}");
        assert!(problem.contains("--variable colour"), "{problem}");
    }

    #[test]
    fn a_template_that_names_nothing_is_a_problem() {
        let resolved = Variables::resolve(&BTreeMap::new(), &[], |_| None).unwrap();
        let templates = BTreeMap::from([("a".to_owned(), "{{ missing }}".to_owned())]);
        let problem = resolved.grant(&templates).unwrap_err().to_string();
        assert!(
            problem.contains("{{ missing }} is not defined"),
            "{problem}"
        );
    }
}
