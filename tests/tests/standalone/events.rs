//! The broker among consumers that do as they are told: with its log in SQLite, and with its log in Redis.

use crate::{SERVICE_KEY, now};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use souk_tests::{Host, Launch, Redis, Reply, client, eventually, redis_server, souk_only};
use souk_tokens::{Claims, Key, Role};
use std::path::Path;
use std::time::{Duration, Instant};

/// A broker that a test starts.
struct Broker {
    host: Host,
}

/// Where its log is, and how often it tries.
#[derive(Clone, Copy)]
struct Kind<'a> {
    redis: Option<&'a str>,
    attempts: u32,
}

const SQLITE: Kind<'_> = Kind {
    redis: None,
    attempts: 30,
};

impl Kind<'_> {
    fn launch(self, dir: &Path) -> Launch {
        let launch = Launch::of("tests/standalone/events.toml")
            .runtime_config("runtime-config.toml")
            .dir(dir)
            .args("--tick 1")
            .variable("service_key", SERVICE_KEY)
            .variable("event_attempts", &self.attempts.to_string());
        match self.redis {
            Some(url) => launch
                .variable("broker", "redis")
                .variable("broker_redis_url", url),
            None => launch,
        }
    }

    fn start(self, dir: &Path) -> Broker {
        Broker {
            host: self.launch(dir).start(),
        }
    }
}

impl Broker {
    fn ask(
        &self,
        caller: &str,
        role: Option<Role>,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Reply, String> {
        let token =
            Key::new(SERVICE_KEY).sign(&Claims::new(caller, "events", now()).acting_as(None, role));
        let request = client()
            .request(method.parse().unwrap(), format!("{}{path}", self.host.url))
            .header("x-souk-token", token);
        let request = match body {
            Value::Null => request,
            body => request.json(body),
        };
        let response = request.send().map_err(|error| error.to_string())?;
        Ok(Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().map_err(|error| error.to_string())?,
        })
    }

    /// Publishes events, each with an id and a subject; says whether that was acknowledged.
    fn publish(&self, events: &[(String, String)]) -> bool {
        let event = |(id, subject): &(String, String)| {
            json!({
                "specversion": "1.0", "id": id, "source": "/services/things", "type": "thing.made", "subject": subject,
                "time": "2026-01-01T00:00:00.000Z", "data": {"id": id},
            })
        };
        let events: Value = events.iter().map(event).collect();
        let answer = self.ask("things", None, "POST", "/events", &events);
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// Publishes batch after batch; the events that were acknowledged.
    fn publish_until_it_fails(&self, from: usize) -> Vec<(String, String)> {
        (from..)
            .step_by(5)
            .map(|first| events(first, 5))
            .take_while(|batch| self.publish(batch))
            .flatten()
            .collect()
    }

    fn admin(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.ask("gateway", Some(Role::Admin), method, path, body)
            .unwrap()
    }

    /// One that crashes takes with it what else its instance was asked at that moment, so it is told until it has heard.
    fn behave(&self, consumer: &str, how: &str) {
        let url = format!("{}/{consumer}/behave", self.host.url);
        let told = || Reply::to(client().put(&url).body(how.to_owned())).status == 204;
        assert!((0..20).any(|_| told()), "{consumer} does not hear");
    }

    /// What a consumer has taken: the ids in order, as often as it took them.
    fn taken(&self, consumer: &str) -> Vec<String> {
        let reply = self.host.get(&format!("/{consumer}/taken"));
        let text = match reply.status {
            200 => reply.text,
            _ => String::new(),
        };
        text.split(',')
            .filter(|id| !id.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn standing(&self, consumer: &str) -> Value {
        let all = self
            .admin("GET", "/api/ops/subscriptions", &Value::Null)
            .json();
        let all = all["items"].as_array().unwrap().clone();
        all.into_iter()
            .find(|standing| standing["consumer"] == consumer)
            .unwrap_or_default()
    }

    /// The ids of the events on a page, and where the next one begins.
    fn page(&self, path: &str) -> (Vec<String>, Option<String>) {
        let page = self.admin("GET", path, &Value::Null).json();
        let items = page["items"].as_array().unwrap().iter();
        let ids = items.map(|it| it["event"]["id"].as_str().unwrap().to_owned());
        let next = page["next_cursor"].as_str().map(str::to_owned);
        (ids.collect(), next)
    }

    /// What is stated of the first consumer: dead letters, events it is still to get, and for how long the oldest has been there.
    fn stated(&self) -> [f64; 3] {
        let gauges = self.admin("GET", "/internal/gauges", &Value::Null).json();
        let gauges = gauges.as_array().unwrap();
        let names = [
            "souk_dead_letters",
            "souk_subscription_lag",
            "souk_subscription_lag_seconds",
        ];
        names.map(|name| {
            let own = |it: &&Value| it["name"] == name && it["labels"]["consumer"] == "first";
            let gauge = gauges.iter().find(own);
            gauge.and_then(|it| it["value"].as_f64()).unwrap_or(-1.0)
        })
    }

    /// Waits until a consumer has taken all of these, and nothing is held back for it.
    fn wait_for(&self, consumer: &str, events: &[(String, String)]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let taken = self.taken(consumer);
            let standing = self.standing(consumer);
            let missing = events.iter().filter(|(id, _)| !taken.contains(id)).count();
            if missing == 0 && standing["behind"] == 0 && standing["held"] == 0 {
                return assert_in_order(&taken, events);
            }
            assert!(
                Instant::now() < deadline,
                "{missing} did not come to {consumer}: {standing}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Within each subject, events were first taken in the order they were published in.
fn assert_in_order(taken: &[String], events: &[(String, String)]) {
    let first = |id: &String| taken.iter().position(|taken| taken == id).unwrap();
    for (index, (id, subject)) in events.iter().enumerate() {
        let next = events[index + 1..]
            .iter()
            .find(|(_, other)| other == subject);
        if let Some((next, _)) = next {
            assert!(
                first(id) < first(next),
                "{next} came before {id} of {subject}"
            );
        }
    }
}

/// So many events of a few subjects.
fn events(from: usize, count: usize) -> Vec<(String, String)> {
    (from..from + count)
        .map(|n| (format!("e{n}"), format!("s{}", n % 7)))
        .collect()
}

/// Runs a scenario with the log in SQLite, and in Redis.
macro_rules! with_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(super::SQLITE); })+
        }

        mod redis {
            $(#[test] fn $name() {
                let redis = souk_tests::redis_server!();
                super::$name(super::Kind { redis: Some(&redis.url()), ..super::SQLITE });
            })+
        }
    };
}

with_both! {
    every_consumer_gets_every_event_once_and_in_order,
    a_consumer_with_faults_gets_everything_in_the_end,
    the_log_is_listed_from_a_position_on_or_at_it,
    what_is_held_back_is_listed,
    what_is_refused_becomes_a_dead_letter_and_can_be_redelivered,
    a_consumer_can_be_sent_back,
    what_waits_is_stated,
    killed_at_random_moments_it_loses_nothing_it_acknowledged,
}

fn every_consumer_gets_every_event_once_and_in_order(kind: Kind<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let broker = kind.start(dir.path());
    let events = events(0, 300);
    for batch in events.chunks(50) {
        assert!(broker.publish(batch));
        assert!(broker.publish(batch), "the same again");
    }
    for consumer in ["first", "second"] {
        broker.wait_for(consumer, &events);
        assert_eq!(broker.taken(consumer).len(), 300);
    }
    let log = broker
        .admin("GET", "/api/ops/events?limit=2&subject=s3", &Value::Null)
        .json();
    let ids: Vec<_> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["event"]["id"])
        .collect();
    assert_eq!(ids, ["e297", "e290"]);
    let cursor = log["next_cursor"].as_str().unwrap();
    let more = broker
        .admin(
            "GET",
            &format!("/api/ops/events?limit=1&subject=s3&cursor={cursor}"),
            &Value::Null,
        )
        .json();
    assert_eq!(more["items"][0]["event"]["id"], "e283");
}

fn a_consumer_with_faults_gets_everything_in_the_end(kind: Kind<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let broker = kind.start(dir.path());
    let mut published = Vec::new();
    for (round, fault) in ["500", "503", "crash", "hang"].into_iter().enumerate() {
        let events = events(round * 40, 40);
        broker.behave("first", fault);
        assert!(broker.publish(&events));
        published.extend(events);
        broker.wait_for("second", &published);
        std::thread::sleep(Duration::from_millis(1500));
        broker.behave("first", "well");
        broker.wait_for("first", &published);
        assert_eq!(broker.standing("first")["dead"], 0, "after {fault}");
    }
    assert_eq!(
        broker.taken("second").len(),
        published.len(),
        "one that is well gets each once"
    );
}

fn the_log_is_listed_from_a_position_on_or_at_it(kind: Kind<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let broker = kind.start(dir.path());
    assert!(broker.publish(&events(0, 30)));
    let list = |query: &str| broker.page(&format!("/api/ops/events?{query}"));
    let (first, next) = list("after=26&limit=3");
    assert_eq!(first, ["e29", "e28", "e27"]);
    let (rest, next) = list(&format!("after=26&limit=3&cursor={}", next.unwrap()));
    assert_eq!((rest, next), (vec!["e26".to_owned()], None));
    assert_eq!(list("after=26&subject=s0"), (vec!["e28".to_owned()], None));
    assert_eq!(list("after=30"), (Vec::new(), None));
    assert_eq!(list("position=8"), (vec!["e7".to_owned()], None));
    assert_eq!(list("position=31"), (Vec::new(), None));
}

fn what_is_held_back_is_listed(kind: Kind<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let broker = kind.start(dir.path());
    broker.behave("first", "refuse e7");
    let published = events(0, 30);
    assert!(broker.publish(&published));
    eventually("they are held back", || {
        broker.standing("first")["held"] == 4
    });
    let held = |query: &str| broker.page(&format!("/api/ops/subscriptions/first/held?{query}"));
    let (first, next) = held("limit=3");
    assert_eq!(first, ["e7", "e14", "e21"]);
    let (rest, next) = held(&format!("limit=3&cursor={}", next.unwrap()));
    assert_eq!((rest, next), (vec!["e28".to_owned()], None));
    let path = "/api/ops/subscriptions/first/held";
    let all = broker.admin("GET", path, &Value::Null).json();
    let (tried, behind) = (&all["items"][0], &all["items"][1]);
    assert_eq!(
        (&tried["id"], &tried["state"], &behind["state"]),
        (&json!("first-8"), &json!("retrying"), &json!("waiting"))
    );
    assert!(tried["due_at"].is_string() && behind["due_at"].is_null());
    let of_others = broker.page("/api/ops/subscriptions/second/held");
    assert_eq!(of_others, (Vec::new(), None));
    broker.behave("first", "well");
    broker.wait_for("first", &published);
    assert_eq!(held(""), (Vec::new(), None));
}

fn what_is_refused_becomes_a_dead_letter_and_can_be_redelivered(kind: Kind<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let broker = Kind {
        attempts: 3,
        ..kind
    }
    .start(dir.path());
    broker.behave("first", "refuse e7");
    let events = events(0, 30);
    assert!(broker.publish(&events));
    let rest: Vec<_> = events
        .iter()
        .filter(|(id, _)| id != "e7")
        .cloned()
        .collect();
    broker.wait_for("first", &rest);
    let letters = broker
        .admin("GET", "/api/ops/dead-letters?consumer=first", &Value::Null)
        .json();
    let letter = &letters["items"][0];
    assert_eq!(
        (&letter["event"]["id"], &letter["attempts"]),
        (&json!("e7"), &json!(3)),
        "{letters}"
    );
    assert_eq!(letters["items"].as_array().unwrap().len(), 1);
    let tries = || {
        let output = broker.host.output();
        output.matches(r#""letter":"first-8""#).count()
    };
    eventually("each try is logged", || tries() == 3);
    assert_eq!(broker.standing("second")["dead"], 0);

    broker.behave("first", "well");
    let redeliver = format!(
        "/api/ops/dead-letters/{}/redeliver",
        letter["id"].as_str().unwrap()
    );
    assert_eq!(broker.admin("POST", &redeliver, &json!({})).status, 202);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !broker.taken("first").contains(&"e7".to_owned()) {
        assert!(Instant::now() < deadline, "it was not redelivered");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(broker.admin("POST", &redeliver, &json!({})).status, 404);
    assert_eq!(
        broker
            .admin("GET", "/api/ops/dead-letters", &Value::Null)
            .json()["items"],
        json!([])
    );
}

fn a_consumer_can_be_sent_back(kind: Kind<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let broker = kind.start(dir.path());
    let events = events(0, 10);
    assert!(broker.publish(&events));
    broker.wait_for("first", &events);
    let replay = broker.admin(
        "POST",
        "/api/ops/subscriptions/first/replay",
        &json!({"from": 4}),
    );
    assert_eq!(
        (replay.status, &replay.json()["position"]),
        (200, &json!(4))
    );
    broker.wait_for("first", &events);
    assert_eq!(broker.taken("first").len(), 16);
    assert_eq!(broker.taken("second").len(), 10);
    assert_eq!(
        broker
            .admin(
                "POST",
                "/api/ops/subscriptions/nobody/replay",
                &json!({"from": 4})
            )
            .status,
        404
    );
}

fn what_waits_is_stated(kind: Kind<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let broker = Kind {
        attempts: 3,
        ..kind
    }
    .start(dir.path());
    broker.behave("first", "503");
    let published = events(0, 5);
    assert!(broker.publish(&published));
    std::thread::sleep(Duration::from_millis(1_500));
    let [dead, lag, seconds] = broker.stated();
    assert_eq!((dead, lag), (0.0, 5.0));
    assert!((1.0..20.0).contains(&seconds), "{seconds}");
    broker.behave("first", "well");
    broker.wait_for("first", &published);
    assert_eq!(broker.stated(), [0.0, 0.0, 0.0]);

    broker.behave("first", "refuse e7");
    let refused = events(7, 1);
    assert!(broker.publish(&refused));
    eventually("it is a dead letter", || broker.stated() == [1.0, 0.0, 0.0]);
}

/// How many events are to be acknowledged before one can say that none is lost.
const ENOUGH: usize = 50;

fn killed_at_random_moments_it_loses_nothing_it_acknowledged(kind: Kind<'_>) {
    souk_only!();
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    let mut round = 0;
    while round < 5 || acknowledged.len() < ENOUGH {
        let broker = kind.start(dir.path());
        std::thread::scope(|scope| {
            let publisher = scope.spawn(|| broker.publish_until_it_fails(round * 10_000));
            std::thread::sleep(Duration::from_millis(250 + 130 * round as u64));
            broker.host.signal(Signal::SIGKILL);
            acknowledged.extend(publisher.join().unwrap());
        });
        round += 1;
        assert!(round < 20, "only {}", acknowledged.len());
    }
    let broker = kind.start(dir.path());
    // What was not acknowledged may be there all the same, so order is looked at within what was.
    broker.wait_for("first", &acknowledged);
    broker.wait_for("second", &acknowledged);
    assert_eq!(broker.standing("first")["dead"], 0);
}

#[test]
fn redis_killed_and_restarted_has_all_that_was_acknowledged() {
    souk_only!();
    let mut redis: Redis = redis_server!();
    let dir = tempfile::tempdir().unwrap();
    let url = redis.url();
    let broker = Kind {
        redis: Some(&url),
        ..SQLITE
    }
    .start(dir.path());
    let mut acknowledged = Vec::new();
    let mut round = 0;
    while round < 4 || acknowledged.len() < ENOUGH {
        std::thread::scope(|scope| {
            let publisher = scope.spawn(|| broker.publish_until_it_fails(round * 10_000));
            std::thread::sleep(Duration::from_millis(200 + 150 * round as u64));
            redis.kill();
            acknowledged.extend(publisher.join().unwrap());
        });
        assert_eq!(
            broker
                .ask("things", None, "POST", "/events", &json!([]))
                .unwrap()
                .status,
            503,
            "while Redis is away"
        );
        redis.start_again();
        round += 1;
        assert!(round < 20, "only {}", acknowledged.len());
    }
    broker.wait_for("first", &acknowledged);
    broker.wait_for("second", &acknowledged);
    assert_eq!(broker.standing("first")["dead"], 0);
}
