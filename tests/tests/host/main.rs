//! What the host promises, through its fixture components and over HTTP.
#![allow(clippy::unwrap_used)]

mod backends;
mod capabilities;
mod durability;
mod faults;
mod isolation;
mod lifecycle;
mod metrics;
mod redis;
mod register;
mod routing;
mod spans;
mod start;
mod streams;
mod telemetry;

use souk_tests::{Host, client};

/// What sixty clients get who ask these hosts at once, each for the path of its number.
fn at_once(hosts: &[&Host], path: impl Fn(usize) -> String) -> Vec<String> {
    let ask = |url: String| client().get(url).send().unwrap().text().unwrap();
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..60)
            .map(|number| format!("{}{}", hosts[number % hosts.len()].url, path(number)))
            .map(|url| scope.spawn(move || ask(url)))
            .collect();
        asked.into_iter().map(|a| a.join().unwrap()).collect()
    })
}
