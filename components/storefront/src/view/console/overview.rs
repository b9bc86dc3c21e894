//! The overview: how the shop is doing at a glance.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::charts::{Chart, spark};
use super::services::{bad_calls, counted_calls};
use super::{Console, counted, live, missing, table};
use crate::domain::Money;
use crate::domain::console::measures::{Figures, SPANS, Turnover, Window};
use crate::domain::console::operations::{Breaker, Breakers, Saga, Services, Standing};
use crate::domain::console::{List, duration, link, percent, rate, service_page};

const OVERVIEW: &str = "/console";
const TRACES: &str = "/console/traces";

/// The service that all requests of the public come to.
const DOOR: &str = "gateway";

/// What is counted of a service: the requests that it answers. It makes some of others besides.
const REQUESTS: &str = "server";

/// What an order is called that money is taken for.
pub const BOUGHT: &str = "confirmed,shipped,delivered";

/// What the overview shows; what cannot be had is none.
pub struct Overview {
    /// The time it is of.
    pub window: Window,
    /// Requests to each service.
    pub services: Option<BTreeMap<String, Figures>>,
    /// What was ordered.
    pub turnover: Option<Turnover>,
    /// How the services are.
    pub health: Option<Services>,
    /// What the services know of each other.
    pub breakers: Option<Breakers>,
    /// How the consumers of events are doing.
    pub subscriptions: Option<Vec<Standing>>,
    /// Checkouts that are not done.
    pub sagas: Option<List<Saga>>,
}

impl Console {
    /// The overview.
    pub fn overview(&self, it: &Overview) -> Markup {
        let content = html! {
            (spans(OVERVIEW, it.window))
            (live("overview", html! {
                (troubles(it))
                (tiles(it))
                div class="charts" {
                    @if let Some(services) = &it.services { (door_charts(services, it.window)) }
                    @if let Some(turnover) = &it.turnover { (turnover_charts(turnover, it.window)) }
                }
                h2 { "Services" }
                @match &it.services {
                    Some(services) => (services_table(services, it.window)),
                    None => (missing("What is measured")),
                }
            }))
        };
        self.page("Overview", OVERVIEW, content)
    }
}

/// The times that a page can be of.
pub fn spans(path: &str, window: Window) -> Markup {
    html! {
        nav class="spans" aria-label="Time" {
            ul {
                @for (minutes, name) in SPANS {
                    @let here = (minutes == window.minutes).then_some("true");
                    li { a href={ (path) "?minutes=" (minutes) } aria-current=[here] { (name) } }
                }
            }
        }
    }
}

/// Who is in trouble, in words: it is what an operator looks for first.
fn troubles(it: &Overview) -> Markup {
    let services = it.health.iter().flat_map(|health| &health.items);
    let down = services.filter(|one| one.status != "ok");
    let breakers = it.breakers.iter().flat_map(|breakers| &breakers.items);
    // One that nobody calls any more stays half open, and is no news.
    let is_recent = |one: &&Breaker| one.changed_at >= it.window.from();
    let open = breakers
        .filter(|one| one.state != "closed")
        .filter(is_recent);
    html! {
        ul class="troubles" {
            @for one in down {
                li class="note bad" { (service_link(&one.service)) " does not answer." }
            }
            @for one in open {
                li class="note bad" {
                    (service_link(&one.from)) " is in trouble with " (service_link(&one.to)) ": "
                    a href=(bad_calls(one, "failed")) { (one.failed) " failed" } ", "
                    a href=(bad_calls(one, "slow")) { (one.slow) " slow" } " of "
                    a href=(counted_calls(one)) { (one.calls) " calls" } ", and its "
                    a href="/console/services#breakers" { "breaker" } " is " (one.state.replace('_', " ")) "."
                }
            }
        }
    }
}

fn service_link(service: &str) -> Markup {
    html! { a href=(service_page(service)) { (service) } }
}

fn tiles(it: &Overview) -> Markup {
    let door = it.services.as_ref().and_then(|services| services.get(DOOR));
    html! {
        dl class="numbers" {
            @if let Some(door) = door { (door_tiles(door, it.window)) }
            @if let Some(turnover) = &it.turnover { (turnover_tiles(turnover, it.window)) }
            @if let Some(health) = &it.health {
                @let down = health.items.iter().filter(|one| one.status != "ok").count();
                @let page = if down > 0 { "/console/services?status=down" } else { "/console/services" };
                (tile("Services down", &down.to_string(), page, down > 0))
            }
            @if let Some(standings) = &it.subscriptions {
                @let dead: i64 = standings.iter().map(|one| one.dead).sum();
                @let behind: i64 = standings.iter().map(|one| one.behind + one.held).sum();
                (tile("Events to deliver", &behind.to_string(), "/console/events/subscriptions", false))
                (tile("Dead letters", &dead.to_string(), "/console/events/dead-letters", dead > 0))
            }
            @if let Some(sagas) = &it.sagas {
                @let more = if sagas.next_cursor.is_some() { "+" } else { "" };
                (tile("Unfinished checkouts", &format!("{}{more}", sagas.items.len()), "/console/orders/sagas", false))
            }
        }
    }
}

fn door_tiles(door: &Figures, window: Window) -> Markup {
    let (all, from) = (&door.all, window.begins());
    let traces = |more: &[(&str, &str)]| {
        let mut asked = vec![("service", DOOR), ("kind", REQUESTS), ("from", &*from)];
        asked.extend(more);
        link(TRACES, &asked)
    };
    let per_second = all.calls as f64 / window.seconds();
    html! {
        (tile("Requests", &rate(per_second), &traces(&[]), false))
        (tile("Failed", &percent(all.errors, all.calls), &traces(&[("status", "error")]), all.errors > 0))
        (tile("Half within", &duration(all.p50_ms), &traces(&[all.half()]), false))
        (tile("99% within", &duration(all.p99_ms), &traces(&[all.slowest()]), false))
    }
}

fn turnover_tiles(turnover: &Turnover, window: Window) -> Markup {
    let per_minute = turnover.orders as f64 / (window.seconds() / 60.0);
    let money = |(currency, amount): (&String, &i64)| {
        let money = Money {
            amount: *amount,
            currency: currency.clone(),
        };
        money.to_string()
    };
    let taken: Vec<_> = turnover.taken.iter().map(money).collect();
    let taken = if taken.is_empty() {
        "0".into()
    } else {
        taken.join(" + ")
    };
    html! {
        (tile("Orders a minute", &format!("{per_minute:.1}"), &orders_since(window, ""), false))
        (tile("Money taken", &taken, &orders_since(window, BOUGHT), false))
    }
}

/// The orders that were placed in a time: all, or those with one of these statuses.
fn orders_since(window: Window, statuses: &str) -> String {
    link(
        "/console/orders",
        &[("status", statuses), ("from", &window.begins())],
    )
}

fn tile(name: &str, value: &str, href: &str, bad: bool) -> Markup {
    html! {
        div class=[bad.then_some("bad")] {
            dt { (name) }
            dd { (counted(href, value, name)) }
        }
    }
}

fn door_charts(services: &BTreeMap<String, Figures>, window: Window) -> Markup {
    let none = Figures::default();
    let door = services.get(DOOR).unwrap_or(&none);
    figures_charts(DOOR, door, window)
}

/// The three charts of a service: how many, how many failed, how long they took.
pub fn figures_charts(service: &str, figures: &Figures, window: Window) -> Markup {
    let from = window.begins();
    let traces = |more: (&str, &str)| {
        let asked = [
            ("service", service),
            ("kind", REQUESTS),
            ("from", &*from),
            more,
        ];
        link(TRACES, &asked)
    };
    let charts = [
        Chart {
            id: "rate",
            title: &format!("Requests to the {service}"),
            unit: "requests a second",
            series: &[("Requests", figures.rates(window))],
            more: (&traces(("status", "")), "Traces of them"),
        }
        .draw(window),
        Chart {
            id: "errors",
            title: "Failed requests",
            unit: "percent",
            series: &[("Failed", figures.error_percents())],
            more: (&traces(("status", "error")), "Traces of those"),
        }
        .draw(window),
        Chart {
            id: "latency",
            title: "How long they took",
            unit: "milliseconds",
            series: &[
                ("half within (p50)", figures.durations(|it| it.p50_ms)),
                ("99% within (p99)", figures.durations(|it| it.p99_ms)),
            ],
            more: (&traces(figures.all.slowest()), "Traces of the slowest"),
        }
        .draw(window),
    ];
    html! { @for chart in charts { (chart) } }
}

fn turnover_charts(turnover: &Turnover, window: Window) -> Markup {
    let currency = turnover.currency().unwrap_or("money");
    let orders = Chart {
        id: "orders",
        title: "Orders",
        unit: "orders a minute",
        series: &[("Orders", turnover.orders_by_point.clone())],
        more: (&orders_since(window, ""), "The orders"),
    };
    let money = Chart {
        id: "money",
        title: "Money taken",
        unit: &format!("{currency} a minute"),
        series: &[("Money", turnover.taken_by_point.clone())],
        more: (&orders_since(window, BOUGHT), "The orders it was taken for"),
    };
    html! { (orders.draw(window)) (money.draw(window)) }
}

fn services_table(services: &BTreeMap<String, Figures>, window: Window) -> Markup {
    let columns = figures_columns("Service");
    let rows = html! {
        @for (service, figures) in services {
            tr {
                th scope="row" { (service_link(service)) }
                (figures_cells(&[("service", service)], figures, window))
            }
        }
    };
    table("Requests by service", &columns, rows)
}

/// What stands above a table of requests to things of a kind.
pub fn figures_columns(kind: &str) -> [&str; 9] {
    [
        kind,
        "Requests",
        "Requests over time",
        "Failed",
        "Failures over time",
        "p50",
        "p50 over time",
        "p99",
        "p99 over time",
    ]
}

/// The cells of a row about requests, each with the way to the traces it counts.
pub fn figures_cells(of: &[(&str, &str)], figures: &Figures, window: Window) -> Markup {
    let all = &figures.all;
    let from = window.begins();
    let traces = |more: &[(&str, &str)]| {
        let asked = [of, &[("kind", REQUESTS), ("from", from.as_str())], more].concat();
        link(TRACES, &asked)
    };
    let (_, name) = of.last().copied().unwrap_or_default();
    let what = |what: &str| format!("{what} of {name}");
    html! {
        td class="digits" { (counted(&traces(&[]), rate(all.calls as f64 / window.seconds()), &what("requests"))) }
        td { (spark(&figures.rates(window))) }
        td class={ "digits" @if all.errors > 0 { " bad" } } {
            (counted(&traces(&[("status", "error")]), percent(all.errors, all.calls), &what("failed requests")))
        }
        td { (spark(&figures.error_percents())) }
        td class="digits" { (counted(&traces(&[all.half()]), duration(all.p50_ms), &what("p50"))) }
        td { (spark(&figures.durations(|it| it.p50_ms))) }
        td class="digits" { (counted(&traces(&[all.slowest()]), duration(all.p99_ms), &what("p99"))) }
        td { (spark(&figures.durations(|it| it.p99_ms))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::console::measures::Numbers;
    use crate::domain::console::operations::Breaker;

    fn overview() -> Overview {
        Overview {
            window: Window::of(None, 1_769_862_630_000),
            services: Some(BTreeMap::from([(
                DOOR.to_owned(),
                Figures {
                    points: vec![Numbers::default(); 60],
                    all: Numbers {
                        calls: 300,
                        errors: 3,
                        p99_ms: 31.7,
                        slowest_from_ms: "25".into(),
                        ..Numbers::default()
                    },
                },
            )])),
            turnover: None,
            health: None,
            breakers: None,
            subscriptions: None,
            sagas: None,
        }
    }

    #[test]
    fn every_number_leads_to_what_it_counts() {
        let page = Console::default().overview(&overview()).0;
        let from = "service=gateway&amp;kind=server&amp;from=2026-01-31T11%3A31%3A00Z";
        let tile = |href, number, name| {
            format!("{from}{href}\">{number}<span class=\"hidden\"> {name}</span></a>")
        };
        for tile in [
            tile("&amp;status=error", "1.0%", "Failed"),
            tile("&amp;min_ms=25", "32 ms", "99% within"),
            tile("&amp;status=error", "1.0%", "failed requests of gateway"),
        ] {
            assert!(page.contains(&tile), "{tile}");
        }
    }

    #[test]
    fn who_is_in_trouble_is_said_in_words() {
        assert!(
            !Console::default()
                .overview(&overview())
                .0
                .contains("in trouble")
        );
        let troubled = |now: i64| Overview {
            breakers: Some(Breakers {
                items: vec![Breaker {
                    from: "orders".into(),
                    to: "payments".into(),
                    state: "open".into(),
                    changed_at: now - 3_000,
                    counted_since: now - 15_000,
                    calls: 9,
                    failed: 7,
                    ..Breaker::default()
                }],
                warnings: Vec::new(),
            }),
            ..overview()
        };
        let page = Console::default()
            .overview(&troubled(overview().window.now))
            .0;
        let failed = "service=orders&amp;attribute=call%3Dfailed%3Apayments&amp;from=2026-01-31T12%3A30%3A15Z\">7 failed</a>";
        assert!(page.contains(failed), "{page}");
        assert!(page.contains(">9 calls</a>"));
        assert!(page.contains("href=\"/console/services/payments\""));
        let long_ago = Console::default().overview(&troubled(4_000)).0;
        assert!(!long_ago.contains("in trouble"));
    }
}
