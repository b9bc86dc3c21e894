//! The shop's own subscriptions, and what the consumers say that they need.

use std::collections::BTreeSet;

use souk_contracts::{listeners, schemas};

use crate::domain::Subscription;

const PRODUCERS: [&str; 6] = [
    "inventory",
    "notifications",
    "orders",
    "payments",
    "products",
    "users",
];

/// The types of all events there are.
fn kinds() -> BTreeSet<String> {
    let schemas = PRODUCERS.into_iter().flat_map(schemas);
    schemas
        .map(|(_, schema)| schema["title"].as_str().unwrap().to_owned())
        .collect()
}

fn subscriptions() -> Vec<Subscription> {
    serde_json::from_str(include_str!("../../config/subscriptions.json")).unwrap()
}

#[test]
fn a_consumer_gets_what_it_says_it_needs_and_nothing_else() {
    for subscription in subscriptions() {
        let consumer = &subscription.consumer;
        let all = kinds().into_iter();
        let gets: BTreeSet<String> = all.filter(|kind| subscription.wants(kind)).collect();
        let listens = listeners()
            .into_iter()
            .find(|listens| listens.consumer == *consumer);
        let needs: BTreeSet<String> = listens.unwrap().needs.into_keys().collect();
        assert_eq!(gets, needs, "{consumer}");
    }
    assert_eq!(listeners().len(), subscriptions().len());
}

#[test]
fn there_are_events_of_every_type_that_somebody_wants() {
    let kinds = kinds();
    for Subscription { consumer, types } in subscriptions() {
        for wanted in types {
            let one = Subscription {
                consumer: consumer.clone(),
                types: vec![wanted.clone()],
            };
            assert!(
                kinds.iter().any(|kind| one.wants(kind)),
                "{consumer} wants {wanted}"
            );
        }
    }
}
