//! Whether each setting that an object takes from the secret is in the template that the secret is made from.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use crate::objects::Object;
use crate::problem::Problem;

/// The template, which the README makes a secret of, and the name of that.
const TEMPLATE: &str = "infra/spinkube/settings.env";
const SECRET: &str = "souk-settings";

/// The names of the settings in the template, those in comments too: they may be left out.
pub fn read(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    Ok(names(
        &fs::read_to_string(root.join(TEMPLATE)).context(TEMPLATE)?,
    ))
}

fn names(template: &str) -> BTreeSet<String> {
    let names = template
        .lines()
        .filter_map(|line| Some(line.trim_start_matches('#').split_once('=')?.0));
    names
        .filter(|name| !name.contains(' '))
        .map(str::to_owned)
        .collect()
}

/// Finds what is taken and not there.
pub fn check(objects: &[Object], settings: &BTreeSet<String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for object in objects {
        let mut keys = BTreeSet::new();
        collect(&object.value, &mut keys);
        for key in keys.difference(settings) {
            problems.push(object.problem(
                format!("secretKeyRef ({key})"),
                format!("add {key} to {TEMPLATE}"),
            ));
        }
    }
    problems
}

fn collect(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == "secretKeyRef" && field["name"] == SECRET {
                    keys.extend(field["key"].as_str().map(str::to_owned));
                }
                collect(field, keys);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, keys)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tests::objects;
    use crate::problem::assert_one;

    #[test]
    fn a_setting_that_is_not_in_the_template_is_found() {
        let settings = names(
            "# What = they are.\nservice_key=SERVICE_KEY\n#mail_api_origin=https://mail.example.com\n",
        );
        assert!(check(&objects(), &settings).is_empty());
        let settings = names("service_key=SERVICE_KEY\n");
        assert_one(
            &check(&objects(), &settings),
            &[
                "SpinApp/souk-orders: secretKeyRef (mail_api_origin)",
                "settings.env",
            ],
        );
    }
}
