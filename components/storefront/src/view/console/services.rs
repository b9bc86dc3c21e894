//! Services, their instances and breakers, and what fails on purpose.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::overview::{figures_cells, figures_charts, figures_columns, spans};
use super::{Console, counted, live, missing, table, tag, time};
use crate::domain::console::measures::{Figures, Window};
use crate::domain::console::operations::{
    Breaker, Breakers, Fault, Instance, Service, Services, Warning,
};
use crate::domain::console::{clock, duration, link, rfc3339};
use crate::forms::Form;
use crate::view::fields::{Field, form_token, summary, tick};

const SERVICES: &str = "/console/services";
const FAULTS: &str = "/console/faults";
const TRACES: &str = "/console/traces";

/// For how long a breaker counts a call.
const COUNTED_MS: i64 = 15_000;

/// What the form for a failure on order asks for.
const FAULT: [(&str, &str); 6] = [
    ("from", "Calls of"),
    ("to", "to"),
    ("seconds", "For how many seconds"),
    ("error_percent", "How many percent fail"),
    ("latency_ms", "How many ms late"),
    ("blackhole", "Never answered"),
];

impl Console {
    /// The services; what cannot be had is none.
    pub fn services(
        &self,
        services: Option<&Services>,
        breakers: Option<&Breakers>,
        now: i64,
    ) -> Markup {
        let shown = html! {
            @match services {
                Some(services) => { (services_table(&services.items)) (warnings(&services.warnings)) }
                None => (missing("How the services are")),
            }
            h2 id="breakers" { "Breakers" }
            @match breakers {
                Some(breakers) => { (breakers_table(&breakers.items, now)) (warnings(&breakers.warnings)) }
                None => (missing("What the services know of each other")),
            }
        };
        self.page("Services", SERVICES, live("services", shown))
    }

    /// A service: how its requests go, route by route.
    pub fn service(
        &self,
        service: &str,
        routes: &BTreeMap<String, Figures>,
        all: &Figures,
        window: Window,
    ) -> Markup {
        let rows = html! {
            @for (route, figures) in routes {
                tr {
                    th scope="row" { (route) }
                    (figures_cells(&[("service", service), ("route", route)], figures, window))
                }
            }
        };
        let path = format!("{SERVICES}/{service}");
        let content = html! {
            (spans(&path, window))
            p class="actions" {
                a href=(link(TRACES, &[("service", service)])) { "Its traces" }
                a href=(link("/console/logs", &[("service", service)])) { "Its log" }
                a href=(link("/console/events", &[("source", &format!("/services/{service}"))])) { "Its events" }
            }
            (live("service", html! {
                div class="charts" { (figures_charts(service, all, window)) }
                h2 { "Routes" }
                @if routes.is_empty() { p { "Nobody has asked it for anything in this time." } }
                @else { (table("Requests by route", &figures_columns("Route"), rows)) }
            }))
        };
        self.page(&format!("Service {service}"), SERVICES, content)
    }

    /// What fails on purpose, and the form for more; none where there may be none.
    pub fn faults(&self, faults: Option<&[Fault]>, form: &Form, services: &[&str]) -> Markup {
        let content = html! {
            @match faults {
                None => p class="note" { "Failures on order are switched off. Start the shop with the variable fault_injection=on to allow them." },
                Some(faults) => {
                    (self.faults_table(faults))
                    h2 { "Have calls fail" }
                    (self.fault_form(form, services))
                }
            }
        };
        self.page("Failures on order", FAULTS, content)
    }

    fn faults_table(&self, faults: &[Fault]) -> Markup {
        let rows = html! {
            @for fault in faults {
                tr {
                    td { (fault.from) }
                    td { (fault.to) }
                    td { (fault.effect()) }
                    td { (time(&rfc3339(fault.until))) }
                }
            }
        };
        html! {
            @if faults.is_empty() {
                p { "Nothing fails on purpose." }
            } @else {
                (table("What fails on purpose", &["Calls of", "to", "What happens", "Until"], rows))
                form class="actions" action={ (FAULTS) "/end" } method="post" {
                    (form_token(&self.token))
                    button class="button danger" type="submit" { "End all of them" }
                }
            }
        }
    }

    fn fault_form(&self, form: &Form, services: &[&str]) -> Markup {
        let number = |name: &'static str, label: &'static str| {
            Field::text(name, label, "off", 5).digits().show(form)
        };
        html! {
            (summary(form, &FAULT))
            form class="form narrow-form" action=(FAULTS) method="post" {
                (form_token(&self.token))
                div class="pair" {
                    (service_choice(form, "from", "Calls of", services))
                    (service_choice(form, "to", "to", services))
                }
                div class="pair" {
                    (number("error_percent", "How many percent fail"))
                    (number("latency_ms", "How many ms late"))
                    (number("seconds", "For how many seconds"))
                }
                (tick(form, "blackhole", "They are never answered"))
                div class="actions" { button class="button danger" type="submit" { "Have them fail" } }
            }
        }
    }
}

fn service_choice(form: &Form, name: &str, label: &str, services: &[&str]) -> Markup {
    html! {
        div class="field" {
            label for=(name) { (label) }
            select id=(name) name=(name) required {
                @for service in services { option value=(service) selected[form.get(name) == *service] { (service) } }
            }
        }
    }
}

fn services_table(services: &[Service]) -> Markup {
    let rows = html! {
        @for one in services {
            tr {
                th scope="row" { a href={ (SERVICES) "/" (one.service) } { (one.service) } }
                td { @if one.status == "ok" { (tag("good", "ok")) } @else { (tag("bad", &one.status)) } }
                td class="digits" { (counted(&probes(&one.service), duration(one.latency_ms), "until it answered")) }
                td {
                    @if one.instances.is_empty() { span class="hint" { "nobody has registered" } }
                    @else { ul { @for instance in &one.instances { (instance_line(instance)) } } }
                }
            }
        }
    };
    table(
        "Services",
        &["Service", "State", "Answers within", "Instances"],
        rows,
    )
}

fn instance_line(instance: &Instance) -> Markup {
    let tone = if instance.state == "up" {
        "good"
    } else {
        "bad"
    };
    html! {
        li {
            (tag(tone, &instance.state)) " "
            span class="digits" { (instance.address) } " "
            span class="hint" { (instance.id) ", since " (clock(&instance.registered_at)) ", lease until " (clock(&instance.expires_at)) }
        }
    }
}

/// The requests by which the gateway sees whether a service answers.
fn probes(service: &str) -> String {
    let asked = [
        ("service", service),
        ("caller", "gateway"),
        ("route", "GET /healthz"),
    ];
    link(TRACES, &asked)
}

/// The calls that a breaker counts.
pub fn recent_calls(breaker: &Breaker, now: i64) -> String {
    let from = rfc3339(now - COUNTED_MS);
    let asked = [
        ("service", &*breaker.to),
        ("caller", &breaker.from),
        ("from", &from),
    ];
    link(TRACES, &asked)
}

/// What failed of them. Some never came to the other service, so this is how it was for the caller.
pub fn failed_calls(breaker: &Breaker, now: i64) -> String {
    let from = rfc3339(now - COUNTED_MS);
    let asked = [
        ("service", &*breaker.from),
        ("status", "error"),
        ("from", &from),
    ];
    link(TRACES, &asked)
}

fn breakers_table(breakers: &[Breaker], now: i64) -> Markup {
    // Nothing lists how often a breaker has opened, nor the retries, so these say how they count.
    let columns = [
        "Calls of",
        "to",
        "Breaker",
        "Since",
        "Opened so far",
        "Calls in 15 s",
        "Failed",
        "Slow",
        "Retries left of 50",
        "Left out",
    ];
    let rows = html! {
        @for one in breakers {
            tr {
                td { a href={ (SERVICES) "/" (one.from) } { (one.from) } }
                td { a href={ (SERVICES) "/" (one.to) } { (one.to) } }
                td { (tag(one.tone(), &one.state.replace('_', " "))) }
                td { @if one.changed_at > 0 { (time(&rfc3339(one.changed_at))) } }
                td class="digits" { (one.opened) }
                td class="digits" { (counted(&recent_calls(one, now), one.calls, "calls")) }
                td class="digits" { (counted(&failed_calls(one, now), one.failed, "failed")) }
                td class="digits" { (counted(&recent_calls(one, now), one.slow, "slow")) }
                td class="digits" { (one.retries_left) }
                td { (one.ejected.join(", ")) }
            }
        }
    };
    html! {
        @if breakers.is_empty() {
            p { "No service has reason to keep one: nothing ever went wrong." }
        } @else {
            (table("Breakers", &columns, rows))
        }
    }
}

fn warnings(warnings: &[Warning]) -> Markup {
    html! {
        @for one in warnings { p class="note" { strong { (one.part) } ": " (one.detail) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_ordered_only_where_they_may_be() {
        let console = Console::default();
        let form = Form::default();
        let off = console.faults(None, &form, &["orders"]).0;
        assert!(off.contains("switched off") && !off.contains("<form class=\"form"));
        let on = console.faults(Some(&[]), &form, &["orders"]).0;
        assert!(
            on.contains("Nothing fails on purpose") && on.contains("<option value=\"orders\">")
        );
        assert!(!on.contains("End all of them"));
    }

    #[test]
    fn a_part_that_cannot_be_had_is_said_and_the_rest_is_there() {
        let breakers = Breakers {
            items: vec![Breaker {
                state: "half_open".into(),
                ..Breaker::default()
            }],
            warnings: vec![Warning {
                part: "carts".into(),
                detail: "it is away".into(),
            }],
        };
        let page = Console::default().services(None, Some(&breakers), 0).0;
        assert!(page.contains("How the services are cannot be had"));
        assert!(page.contains("half open") && page.contains("it is away"));
    }
}
