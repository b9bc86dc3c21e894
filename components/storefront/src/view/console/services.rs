//! Services, their instances and breakers, and what fails on purpose.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::overview::{figures_cells, figures_charts, figures_columns, spans};
use super::{Console, counted, live, missing, table, tag, time};
use crate::domain::console::measures::{Figures, Window};
use crate::domain::console::operations::{
    Breaker, Breakers, Fault, Instance, Service, Services, Warning,
};
use crate::domain::console::{clock, duration, link, rfc3339, service_page};
use crate::forms::Form;
use crate::view::fields::{Field, form_token, summary, tick};

const SERVICES: &str = "/console/services";
const FAULTS: &str = "/console/faults";
const TRACES: &str = "/console/traces";

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
    /// The services, those of a status if one is asked for; what cannot be had is none.
    pub fn services(
        &self,
        services: Option<&Services>,
        breakers: Option<&Breakers>,
        status: &str,
    ) -> Markup {
        let shown = html! {
            @match services {
                Some(services) => { (services_table(&services.items, status)) (warnings(&services.warnings)) }
                None => (missing("How the services are")),
            }
            h2 id="breakers" { "Breakers" }
            @match breakers {
                Some(breakers) => { (breakers_table(&breakers.items)) (warnings(&breakers.warnings)) }
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
        let path = service_page(service);
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
    /// `untold` are services that could not be told of the last change.
    pub fn faults(
        &self,
        faults: Option<&[Fault]>,
        form: &Form,
        services: &[&str],
        untold: &str,
    ) -> Markup {
        let content = html! {
            @if !untold.is_empty() {
                p class="note bad" role="status" { "Could not be told, and does as before: " (untold) "." }
            }
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

fn services_table(services: &[Service], status: &str) -> Markup {
    let wanted = |one: &&Service| status.is_empty() || one.status == status;
    let rows = html! {
        @for one in services.iter().filter(wanted) {
            tr {
                th scope="row" { a href=(service_page(&one.service)) { (one.service) } }
                td { @if one.status == "ok" { (tag("good", "ok")) } @else { (tag("bad", &one.status)) } }
                td class="digits" { (counted(&probes(&one.service), duration(one.latency_ms), "until it answered")) }
                td {
                    @if one.instances.is_empty() { span class="hint" { "nobody has registered" } }
                    @else { ul { @for instance in &one.instances { (instance_line(instance)) } } }
                }
            }
        }
    };
    let columns = ["Service", "State", "Answers within", "Instances"];
    html! {
        @if !status.is_empty() {
            p class="actions" { "Those that are " (status) ". " a href=(SERVICES) { "All services" } }
        }
        (table("Services", &columns, rows))
    }
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

/// The calls that a breaker counts, as far as they came to the other service.
pub fn counted_calls(breaker: &Breaker) -> String {
    let from = rfc3339(breaker.counted_since);
    let asked = [
        ("service", &*breaker.to),
        ("caller", &breaker.from),
        ("from", &from),
    ];
    link(TRACES, &asked)
}

/// Those of them that `failed` or were `slow`: whoever called has written that into the log.
pub fn bad_calls(breaker: &Breaker, how: &str) -> String {
    let (call, from) = (
        format!("call={how}:{}", breaker.to),
        rfc3339(breaker.counted_since),
    );
    let asked = [
        ("service", &*breaker.from),
        ("attribute", &call),
        ("from", &from),
    ];
    link("/console/logs", &asked)
}

fn breakers_table(breakers: &[Breaker]) -> Markup {
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
                td { a href=(service_page(&one.from)) { (one.from) } }
                td { a href=(service_page(&one.to)) { (one.to) } }
                td { (tag(one.tone(), &one.state.replace('_', " "))) }
                td { @if one.changed_at > 0 { (time(&rfc3339(one.changed_at))) } }
                td class="digits" { (one.opened) }
                td class="digits" { (counted(&counted_calls(one), one.calls, "calls")) }
                td class="digits" { (counted(&bad_calls(one, "failed"), one.failed, "failed")) }
                td class="digits" { (counted(&bad_calls(one, "slow"), one.slow, "slow")) }
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
        let off = console.faults(None, &form, &["orders"], "").0;
        assert!(off.contains("switched off") && !off.contains("<form class=\"form"));
        let on = console.faults(Some(&[]), &form, &["orders"], "").0;
        assert!(
            on.contains("Nothing fails on purpose") && on.contains("<option value=\"orders\">")
        );
        assert!(!on.contains("End all of them") && !on.contains("Could not be told"));
        let untold = console.faults(Some(&[]), &form, &[], "carts, <b>").0;
        assert!(untold.contains("does as before: carts, &lt;b&gt;."));
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
        let page = Console::default().services(None, Some(&breakers), "").0;
        assert!(page.contains("How the services are cannot be had"));
        assert!(page.contains("half open") && page.contains("it is away"));
    }
}
