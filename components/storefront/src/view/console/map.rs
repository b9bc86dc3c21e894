//! The map of services.

use maud::{Markup, html};

use super::overview::spans;
use super::{Console, counted, live, table, tag};
use crate::domain::console::map::{BOX, Drawn, Edge, Map, SIZE, draw};
use crate::domain::console::measures::Window;
use crate::domain::console::{duration, link, percent, rate, service_page};

const MAP: &str = "/console/map";

/// What a call is like that failed.
const FAILED: (&str, &str) = ("status", "error");

impl Console {
    /// The map: who calls whom.
    pub fn map(&self, edges: &[Edge], window: Window) -> Markup {
        let content = html! {
            (spans(MAP, window))
            (live("map", html! {
                @if edges.is_empty() {
                    p { "No service has called another in this time, as far as traces have arrived." }
                } @else {
                    (drawing(&draw(edges), window))
                    (edges_table(edges, window))
                }
            }))
        };
        self.page("Map", MAP, content)
    }
}

fn drawing(map: &Map<'_>, window: Window) -> Markup {
    html! {
        div class="scroll map" role="region" aria-label="Map of the services" tabindex="0" {
            svg viewBox={ "0 0 " (SIZE.0) " " (SIZE.1) } width=(SIZE.0) height=(SIZE.1) role="group" aria-labelledby="map-title map-desc" {
                title id="map-title" { "Who calls whom" }
                desc id="map-desc" { "Services, and a line from each to those it calls; the table below says the same." }
                defs {
                    marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto" {
                        path class="arrow" d="M0 0L8 4L0 8z" {}
                    }
                }
                @for line in &map.edges { path class={ "edge " (line.edge.tone()) } d=(line.path) marker-end="url(#arrow)" {} }
                @for node in &map.nodes {
                    a href=(service_page(&node.name)) aria-label=(node.name) {
                        rect class="node" x=(pixel(node.at.0 - BOX.0 / 2.0)) y=(pixel(node.at.1 - BOX.1 / 2.0)) width=(BOX.0) height=(BOX.1) rx="10" {}
                        text x=(pixel(node.at.0)) y=(pixel(node.at.1)) dy="0.35em" text-anchor="middle" { (node.name) }
                    }
                }
                @for line in &map.edges { (label(line, window)) }
            }
        }
    }
}

/// The traces of the calls of one service by another, or of those that are like this.
fn calls(edge: &Edge, window: Window, like: (&str, &str)) -> String {
    let from = window.begins();
    let asked = [
        ("service", &*edge.to),
        ("caller", &edge.from),
        ("from", &from),
        like,
    ];
    link("/console/traces", &asked)
}

/// What is written at a line; whoever wants more, or has no pointer, finds it in the table.
fn label(line: &Drawn<'_>, window: Window) -> Markup {
    let Edge { numbers, .. } = line.edge;
    let (x, y) = (pixel(line.label.0), line.label.1);
    let state = line.edge.breaker_state();
    html! {
        g class="label" aria-hidden="true" {
            a href=(calls(line.edge, window, ("", ""))) tabindex="-1" {
                text x=(x) y=(pixel(y)) text-anchor="middle" {
                    (rate(numbers.calls as f64 / window.seconds())) " · " (duration(numbers.p50_ms))
                }
            }
            @if numbers.errors > 0 || state != "closed" {
                a href=(calls(line.edge, window, FAILED)) tabindex="-1" {
                    text class="bad" x=(x) y=(pixel(y + 12.0)) text-anchor="middle" {
                        (percent(numbers.errors, numbers.calls)) " failed"
                        @if state != "closed" { ", " (state.replace('_', " ")) }
                    }
                }
            }
        }
    }
}

fn pixel(place: f64) -> String {
    format!("{place:.1}")
}

fn edges_table(edges: &[Edge], window: Window) -> Markup {
    let columns = ["From", "To", "Calls", "Failed", "p50", "p99", "Breaker"];
    let rows = html! {
        @for edge in edges {
            @let numbers = &edge.numbers;
            @let number = |like: (&str, &str), number: String, what: &str| {
                counted(&calls(edge, window, like), number, &format!("{what} of {} by {}", edge.to, edge.from))
            };
            tr {
                td { a href=(service_page(&edge.from)) { (edge.from) } }
                td { a href=(service_page(&edge.to)) { (edge.to) } }
                td class="digits" { (number(("", ""), rate(numbers.calls as f64 / window.seconds()), "calls")) }
                td class={ "digits" @if numbers.errors > 0 { " bad" } } {
                    (number(FAILED, percent(numbers.errors, numbers.calls), "failed calls"))
                }
                td class="digits" { (number(numbers.half(), duration(numbers.p50_ms), "p50")) }
                td class="digits" { (number(numbers.slowest(), duration(numbers.p99_ms), "p99")) }
                td { a href="/console/services#breakers" { (breaker(edge)) } }
            }
        }
    };
    table("Calls between services", &columns, rows)
}

fn breaker(edge: &Edge) -> Markup {
    let tone = edge.breaker.as_ref().map_or("good", |it| it.tone());
    tag(tone, &edge.breaker_state().replace('_', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::console::measures::Numbers;
    use crate::domain::console::operations::Breaker;

    #[test]
    fn an_edge_says_how_it_goes() {
        let edges = [Edge {
            from: "orders".into(),
            to: "payments".into(),
            numbers: Numbers {
                calls: 50,
                errors: 10,
                p50_ms: 12.0,
                ..Numbers::default()
            },
            breaker: Some(Breaker {
                state: "half_open".into(),
                ..Breaker::default()
            }),
        }];
        let page = Console::default()
            .map(&edges, Window::of(None, 1_769_862_630_000))
            .0;
        assert!(page.contains("class=\"edge bad\""));
        assert!(page.contains("20% failed, half open"));
        assert!(page.contains("href=\"/console/services/payments\""));
        assert!(page.contains(
            "service=payments&amp;caller=orders&amp;from=2026-01-31T11%3A31%3A00Z&amp;status=error"
        ));
    }
}
