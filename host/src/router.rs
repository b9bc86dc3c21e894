//! Which component answers a path: exact routes before wildcards, longer prefixes before shorter.

use crate::manifest::{HttpTrigger, Route};
use crate::problems::Problems;
use routefinder::Router as Finder;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The public routes of an application.
pub struct Router(Finder<Arc<Target>>);

/// Where a route leads.
#[derive(Debug)]
pub struct Target {
    /// The component's id.
    pub component: String,
    /// The route as the manifest writes it.
    pub route: Arc<str>,
}

/// A path that was matched, with what Spin's request headers say about it.
#[derive(Debug)]
pub struct Match {
    /// Where it leads.
    pub target: Arc<Target>,
    /// What the trailing wildcard stands for, with its slash; empty for exact routes.
    pub path_info: String,
    /// What each `:name` stands for.
    pub named: Vec<(String, String)>,
}

impl Router {
    /// Takes the public routes of the manifest; of two equal ones the last wins, as in Spin.
    ///
    /// # Errors
    /// Routes that cannot be parsed.
    pub fn new<'a>(triggers: impl Iterator<Item = &'a HttpTrigger>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut routes = BTreeMap::new();
        for trigger in triggers {
            if let Route::Public(route) = &trigger.route {
                routes.insert(route, &trigger.component);
            }
        }
        let mut finder = Finder::new();
        for (route, component) in routes {
            let target = Arc::new(Target {
                component: component.clone(),
                route: route.as_str().into(),
            });
            let pattern = match route.strip_suffix("/...") {
                Some(prefix) => format!("{prefix}/*"),
                None => route.clone(),
            };
            if !route.starts_with('/') {
                problems.push(format!("trigger.http: route {route:?} must begin with /"));
            } else if let Err(why) = finder.add(pattern.as_str(), target) {
                problems.push(format!("trigger.http: route {route:?}: {why}"));
            }
        }
        problems.into_result(Self(finder))
    }

    /// The component for `path`, if any.
    pub fn find(&self, path: &str) -> Option<Match> {
        let found = self.0.best_match(path)?;
        let captures = found.captures();
        let path_info = match captures.wildcard() {
            None => String::new(),
            Some(rest) => {
                let mut info = String::with_capacity(rest.len() + 2);
                if !rest.is_empty() {
                    info.push('/');
                    info.push_str(rest);
                }
                if path.ends_with('/') && !info.ends_with('/') {
                    info.push('/');
                }
                info
            }
        };
        let named = captures
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Some(Match {
            target: found.handler().clone(),
            path_info,
            named,
        })
    }

    /// Every route with its component.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.0.iter().map(|(_, target)| &**target)
    }
}

impl Match {
    /// The match of a chained call, which has no route: all of the path belongs to the wildcard.
    pub fn chained(component: &str, path: &str) -> Self {
        Self {
            target: Arc::new(Target {
                component: component.to_owned(),
                route: "/...".into(),
            }),
            path_info: path.to_owned(),
            named: Vec::new(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn router(routes: &[(&str, &str)]) -> Router {
        let text: String = routes
            .iter()
            .map(|(route, id)| format!("[[http]]\nroute = {route:?}\ncomponent = {id:?}\n"))
            .collect();
        let triggers: crate::manifest::Triggers = toml::from_str(&text).unwrap();
        Router::new(triggers.http.iter()).unwrap()
    }

    fn component(router: &Router, path: &str) -> Option<String> {
        router.find(path).map(|m| m.target.component.clone())
    }

    #[test]
    fn exact_beats_wildcard_and_longer_beats_shorter() {
        let router = router(&[
            ("/...", "shop"),
            ("/api/...", "gateway"),
            ("/api/health", "health"),
        ]);
        assert_eq!(component(&router, "/").unwrap(), "shop");
        assert_eq!(component(&router, "/anything/at/all").unwrap(), "shop");
        assert_eq!(component(&router, "/api").unwrap(), "gateway");
        assert_eq!(component(&router, "/api/x/y").unwrap(), "gateway");
        assert_eq!(component(&router, "/api/health").unwrap(), "health");
        assert_eq!(component(&router, "/apiary").unwrap(), "shop");
    }

    #[test]
    fn the_rest_of_the_path_and_names_are_told() {
        let router = router(&[("/a/...", "a"), ("/users/:id/items/:item", "u")]);
        assert_eq!(router.find("/a").unwrap().path_info, "");
        assert_eq!(router.find("/a/").unwrap().path_info, "/");
        assert_eq!(router.find("/a/b/c").unwrap().path_info, "/b/c");
        assert_eq!(router.find("/a/b/").unwrap().path_info, "/b/");
        let found = router.find("/users/7/items/9").unwrap();
        assert!(found.named.contains(&("id".into(), "7".into())));
        assert!(found.named.contains(&("item".into(), "9".into())));
        assert!(router.find("/users/7").is_none());
    }

    #[test]
    fn of_two_equal_routes_the_last_wins() {
        let router = router(&[("/a", "first"), ("/a", "second")]);
        assert_eq!(component(&router, "/a").unwrap(), "second");
    }

    #[test]
    fn a_private_component_has_no_route() {
        let triggers: crate::manifest::Triggers =
            toml::from_str("[[http]]\nroute = { private = true }\ncomponent = \"a\"\n").unwrap();
        let router = Router::new(triggers.http.iter()).unwrap();
        assert!(router.find("/").is_none());
    }
}
