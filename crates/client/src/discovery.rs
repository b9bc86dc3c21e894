//! Where a service is.
//!
//! The variable `discovery` says it, as rules with commas between them: `<service>=<where>` for one service, `<where>` alone for all others.
//! Where is an address that has `{service}` in the place of the name, or all of an address, or `registry`:
//!
//! | value | |
//! |---|---|
//! | `http://{service}.spin.internal` | in the same application, without a socket; so it is unless told |
//! | `http://souk-{service}.souk` | by name, as in Kubernetes, which spreads the calls itself |
//! | `registry` | wherever the registry at `registry_url` says, which may be several instances |
//! | `users=registry,http://{service}.spin.internal` | `users` elsewhere, the others here |
//!
//! The registry's list is kept for a second, in the instance and for all instances of the service in its key-value store. A list that is older is
//! used while it is fetched anew, and as long as the registry does not answer. An empty one is not believed at once: a registry that
//! has just been started knows nobody yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderName, HeaderValue, Request, Uri};
use serde::{Deserialize, Serialize};
use souk_chassis::context::REQUEST_ID;
use souk_chassis::{Context, variables, wire};
use souk_keyvalue::Bucket;
use souk_resilience::balance::{self, Load};
use spin_sdk::wasip3::http::client;

use crate::shared::{Known, label};
use crate::time::{now, random, within};
use crate::{CallError, attempt};

/// What discovery is where the manifest says nothing.
const CHAINED: &str = "http://{service}.spin.internal";

/// The one service that cannot be looked up.
const REGISTRY: &str = "registry";

/// How long a list is as good as new, in milliseconds.
const FRESH_FOR: i64 = 1_000;

/// How long the registry may take, in milliseconds.
const TIMEOUT: u32 = 1_000;

/// How long an empty list is not believed, in milliseconds: longer than it takes all instances to renew their leases.
const DISBELIEF: i64 = 30_000;

/// An instance of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    id: String,
    address: String,
    incarnation: String,
}

/// Where a service is to be had.
#[derive(Debug, Clone)]
pub enum Target {
    /// At this address.
    Fixed(String),
    /// At any of these instances.
    Instances(Arc<[Instance]>),
}

/// What an attempt is made at.
#[derive(Debug)]
pub enum Place {
    /// This address.
    Fixed(String),
    /// This instance, since when.
    Instance(Instance, i64),
}

/// Finds a service.
pub async fn resolve(context: &Context, service: &'static str) -> Result<Target, CallError> {
    let read = |_| CallError::Caller("the configuration cannot be read".into());
    if service == REGISTRY {
        let url = variables::get("registry_url").await.map_err(read)?;
        return Ok(Target::Fixed(url.as_deref().unwrap_or_default().to_owned()));
    }
    let rules = variables::get("discovery").await.map_err(read)?;
    match rule(rules.as_deref().unwrap_or(CHAINED), service) {
        REGISTRY => instances(context, service).await,
        address => Ok(Target::Fixed(address.replace("{service}", service))),
    }
}

/// What the rules say of a service.
fn rule<'a>(rules: &'a str, service: &str) -> &'a str {
    let parts = || {
        rules
            .split(',')
            .map(str::trim)
            .filter(|rule| !rule.is_empty())
    };
    // An address may have a `=` in it, but not before its `:`.
    let named = |rule: &'a str| rule.split_once('=').filter(|(name, _)| !name.contains(':'));
    let own = parts()
        .filter_map(named)
        .find(|(name, _)| name.trim() == service);
    let others = || parts().find(|rule| named(rule).is_none());
    own.map(|(_, place)| place.trim())
        .or_else(others)
        .unwrap_or(CHAINED)
}

impl Target {
    /// Any place of it.
    pub fn any(&self) -> Result<Place, CallError> {
        Ok(match self {
            Self::Fixed(address) => Place::Fixed(address.clone()),
            Self::Instances(instances) => {
                let index = random() % instances.len() as u64;
                let index = usize::try_from(index).unwrap_or_default();
                Place::begin(instances[index].clone())
            }
        })
    }

    /// The place for the next attempt of a call that was tried at these instances.
    pub fn choose(&self, known: &Known, tried: &[String]) -> Result<Place, CallError> {
        let Self::Instances(all) = self else {
            return self.any();
        };
        let untried = |it: &&Instance| !tried.contains(&it.id);
        let well = |it: &&Instance| !known.is_ejected(&it.id, &it.incarnation);
        let mut candidates: Vec<_> = all.iter().filter(untried).filter(well).collect();
        if candidates.is_empty() {
            // Better one that has failed than none.
            candidates = all.iter().filter(untried).collect();
        }
        if candidates.is_empty() {
            candidates = all.iter().collect();
        }
        let loads: Vec<_> = candidates.iter().map(|it| load(&it.id)).collect();
        let index = balance::pick(&loads, random()).unwrap_or_default();
        Ok(Place::begin(candidates[index].clone()))
    }

    /// Whether there are instances besides these.
    pub fn has_more_than(&self, tried: &[String]) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Instances(all) => all.iter().any(|it| !tried.contains(&it.id)),
        }
    }
}

/// How instances fare, as this instance of the caller sees it, by their ids.
static LOADS: Mutex<BTreeMap<String, Load>> = Mutex::new(BTreeMap::new());

fn load(id: &str) -> Load {
    let loads = LOADS.lock().unwrap_or_else(PoisonError::into_inner);
    loads.get(id).copied().unwrap_or_default()
}

fn change_load(id: &str, change: impl FnOnce(&mut Load)) {
    let mut loads = LOADS.lock().unwrap_or_else(PoisonError::into_inner);
    match loads.get_mut(id) {
        Some(load) => change(load),
        None => change(loads.entry(id.to_owned()).or_default()),
    }
}

impl Place {
    fn begin(instance: Instance) -> Self {
        change_load(&instance.id, Load::begin);
        Self::Instance(instance, now())
    }

    /// Its address.
    pub fn url(&self) -> &str {
        match self {
            Self::Fixed(address) => address,
            Self::Instance(instance, _) => &instance.address,
        }
    }

    /// The instance's id.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Fixed(_) => None,
            Self::Instance(instance, _) => Some(&instance.id),
        }
    }

    /// Tells whether the attempt was answered.
    pub fn tell(&self, known: &Known, answered: bool) {
        let Self::Instance(instance, _) = self else {
            return;
        };
        match answered {
            true => known.forgive(&instance.id),
            false => known.eject(&instance.id, &instance.incarnation),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Instance(instance, begun) = self {
            let now = now();
            let took = u32::try_from(now - *begun).unwrap_or_default();
            change_load(&instance.id, |load| load.end(took.into(), now));
        }
    }
}

/// The instances of a service, as the registry listed them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct List {
    instances: Arc<[Instance]>,
    /// When the registry was last asked.
    asked_at: i64,
    /// When it last listed anybody.
    seen_at: i64,
}

static LISTS: Mutex<BTreeMap<&str, List>> = Mutex::new(BTreeMap::new());

async fn instances(context: &Context, service: &'static str) -> Result<Target, CallError> {
    let now = now();
    let mut list = kept(service);
    if !list.is_fresh(now)
        && let Some(shared) = shared(context.service, service)
        && (shared.asked_at > list.asked_at || list.instances.is_empty())
    {
        list = shared;
        keep(service, &list);
    }
    if !list.is_fresh(now) {
        let unhurried = context.unhurried();
        match list.instances.is_empty() {
            // With nothing nobody can go on meanwhile, so whoever else comes asks as well.
            true => list = ask(&unhurried, service, list).await,
            false => {
                // Whoever else finds it old leaves it to this one.
                list.asked_at = now;
                keep(service, &list);
                share(context.service, service, &list);
                let old = list.clone();
                souk_chassis::background::later(async move {
                    ask(&unhurried, service, old).await;
                });
            }
        }
    }
    match list.instances.is_empty() {
        false => Ok(Target::Instances(list.instances)),
        true => Err(CallError::Unreachable {
            service: service.into(),
            cause: "the registry lists no instance of it".into(),
        }),
    }
}

impl List {
    fn is_fresh(&self, now: i64) -> bool {
        now < self.asked_at + FRESH_FOR
    }

    /// The list after the registry has answered.
    fn heard(self, listed: Vec<Instance>, now: i64) -> Self {
        let believed = !listed.is_empty() || now >= self.seen_at + DISBELIEF;
        Self {
            seen_at: if listed.is_empty() { self.seen_at } else { now },
            instances: if believed {
                listed.into()
            } else {
                self.instances
            },
            asked_at: now,
        }
    }
}

fn kept(service: &str) -> List {
    let lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    lists.get(service).cloned().unwrap_or_default()
}

fn keep(service: &'static str, list: &List) {
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    lists.insert(service, list.clone());
}

fn key(service: &str) -> String {
    format!("instances/{service}")
}

/// The list that the caller's instances share.
fn shared(caller: &str, service: &str) -> Option<List> {
    let value = Bucket::open(&label(caller))
        .ok()?
        .get(&key(service))
        .ok()??;
    serde_json::from_slice(&value).ok()
}

fn share(caller: &str, service: &str, list: &List) {
    let value = serde_json::to_vec(list).expect("a list is plain data");
    // Without a store each instance asks for itself.
    if let Ok(bucket) = Bucket::open(&label(caller)) {
        _ = bucket.set(&key(service), &value);
    }
}

/// Asks the registry; where it does not answer the list stays.
async fn ask(context: &Context, service: &'static str, list: List) -> List {
    let listed = within(TIMEOUT, listed(context, service)).await;
    let list = match listed.unwrap_or_else(|| Err("it did not answer in time".into())) {
        Ok(listed) => list.heard(listed, now()),
        Err(why) => {
            tracing::warn!(error = why, "the registry cannot be asked");
            // Those who come within the next second are not to wait for that again, unless others have had an answer.
            if kept(service).instances.is_empty() {
                let list = List {
                    asked_at: now(),
                    ..list.clone()
                };
                keep(service, &list);
            }
            return list;
        }
    };
    keep(service, &list);
    share(context.service, service, &list);
    list
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(flatten)]
    instance: Instance,
    state: String,
}

async fn listed(context: &Context, service: &str) -> Result<Vec<Instance>, String> {
    let url = variables::get("registry_url").await;
    let url = url
        .ok()
        .flatten()
        .ok_or("the variable registry_url is not granted")?;
    let uri = format!("{url}/instances?service={service}");
    let mut request = Request::new(axum::body::Body::empty());
    *request.uri_mut() = Uri::try_from(uri).map_err(|error| error.to_string())?;
    let token = attempt::token(context, REGISTRY)
        .await
        .map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    headers.insert(HeaderName::from_static(souk_tokens::HEADER), token);
    headers.insert(REQUEST_ID, HeaderValue::clone(&context.request_id));
    let request = wire::request_to_host(request)
        .await
        .map_err(|error| error.to_string())?;
    let response = client::send(request)
        .await
        .and_then(wire::response_from_host);
    let response = response.map_err(|error| error.to_string())?;
    if !response.status().is_success() {
        return Err(format!("it answered {}", response.status()));
    }
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
    let body = body.map_err(|error| error.to_string())?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let up = answer.items.into_iter().filter(|it| it.state == "up");
    Ok(up.map(|it| it.instance).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_rule_for_a_service_goes_before_that_for_all() {
        let rules = "users=registry, http://souk-{service}.souk ,products=http://127.0.0.1:1";
        assert_eq!(rule(rules, "users"), "registry");
        assert_eq!(rule(rules, "products"), "http://127.0.0.1:1");
        assert_eq!(rule(rules, "carts"), "http://souk-{service}.souk");
        assert_eq!(rule("registry", "carts"), "registry");
        assert_eq!(rule("http://a/?x=1", "carts"), "http://a/?x=1");
        for nothing in ["", " , ", "users=registry"] {
            assert_eq!(rule(nothing, "carts"), CHAINED);
        }
    }

    fn instance(id: &str) -> Instance {
        Instance {
            id: id.into(),
            address: format!("http://{id}"),
            incarnation: "1".into(),
        }
    }

    fn target(ids: &[&str]) -> Target {
        Target::Instances(ids.iter().map(|id| instance(id)).collect())
    }

    fn chosen(target: &Target, known: &Known, tried: &[&str]) -> String {
        let tried: Vec<_> = tried.iter().map(|id| (*id).to_owned()).collect();
        target
            .choose(known, &tried)
            .unwrap()
            .id()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn what_was_tried_or_is_ejected_is_not_chosen_while_there_is_another() {
        let (known, target) = (Known::of("test", "chosen"), target(&["c1", "c2", "c3"]));
        for _ in 0..20 {
            assert_ne!(chosen(&target, &known, &["c1"]), "c1");
        }
        known.eject("c2", "1");
        for _ in 0..20 {
            assert_eq!(chosen(&target, &known, &["c1"]), "c3");
            assert_eq!(
                chosen(&target, &known, &["c1", "c3"]),
                "c2",
                "better than none"
            );
        }
        chosen(&target, &known, &["c1", "c2", "c3"]);
        assert!(!target.has_more_than(&["c1", "c2", "c3"].map(str::to_owned)));
    }

    #[test]
    fn an_instance_that_answers_is_taken_back() {
        let known = Known::of("test", "taken-back");
        let place = || Place::begin(instance("t1"));
        place().tell(&known, false);
        assert!(known.is_ejected("t1", "1"));
        assert!(
            !known.is_ejected("t1", "2"),
            "another start is another instance"
        );
        place().tell(&known, true);
        assert!(!known.is_ejected("t1", "1"));
    }

    #[test]
    fn an_empty_list_is_not_believed_at_once() {
        let list = List::default().heard(vec![instance("a")], 100_000);
        let later = list.heard(vec![], 110_000);
        assert_eq!(later.instances.len(), 1);
        let other = later.clone().heard(vec![instance("b")], 111_000);
        assert_eq!(other.instances[0].id, "b");
        assert_eq!(later.heard(vec![], 100_000 + DISBELIEF).instances.len(), 0);
    }
}
