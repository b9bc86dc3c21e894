//! Charts, drawn as SVG.

use maud::{Markup, html};

use crate::domain::console::chart::{CHART, SPARK, highest, label, ticks};
use crate::domain::console::measures::Window;

/// A chart over a time.
pub struct Chart<'a> {
    /// Its id on the page.
    pub id: &'a str,
    /// What it shows.
    pub title: &'a str,
    /// What its values are.
    pub unit: &'a str,
    /// What its lines are called, and their values.
    pub series: &'a [(&'a str, Vec<f64>)],
    /// What to look at for more.
    pub more: (&'a str, &'a str),
}

impl Chart<'_> {
    /// Draws it.
    pub fn draw(&self, window: Window) -> Markup {
        let Self {
            id,
            title,
            unit,
            series,
            more: (href, more),
        } = self;
        let highest = highest(series.iter().map(|(_, values)| &**values));
        let ticks = ticks(highest);
        let top = ticks.last().copied().unwrap_or(1.0);
        html! {
            figure class="chart" {
                figcaption { (title) " " span class="hint" { "in " (unit) } }
                svg viewBox={ "0 0 " (CHART.width) " " (CHART.height) } role="img" aria-labelledby={ (id) "-title " (id) "-desc" } {
                    title id={ (id) "-title" } { (title) ", in " (unit) }
                    desc id={ (id) "-desc" } { (description(series, window, unit)) }
                    @for tick in &ticks {
                        @let y = format!("{:.1}", CHART.y(*tick, top));
                        line class="grid-line" x1=(CHART.left) x2=(CHART.right()) y1=(y) y2=(y) {}
                        text x=(CHART.left - 6.0) y=(y) dy="0.35em" text-anchor="end" { (label(*tick)) }
                    }
                    (times(window))
                    @for (index, (_, values)) in series.iter().enumerate() {
                        path class={ "series series-" (index + 1) } d=(CHART.line(values, top)) {}
                    }
                }
                p class="legend" {
                    @if series.len() > 1 {
                        @for (index, (name, _)) in series.iter().enumerate() {
                            span { (swatch(index)) (name) }
                        }
                    }
                    a href=(href) { (more) }
                }
            }
        }
    }
}

/// What a line looks like; dashes tell them apart as well as colours do.
fn swatch(index: usize) -> Markup {
    html! {
        svg class="swatch" viewBox="0 0 24 8" width="24" height="8" aria-hidden="true" {
            path class={ "series series-" (index + 1) } d="M1 4H23" {}
        }
    }
}

fn times(window: Window) -> Markup {
    let [begin, middle, end] = window.times();
    let half = f64::midpoint(CHART.left, CHART.right());
    let y = CHART.height - 6.0;
    html! {
        text x=(CHART.left) y=(y) { (begin) }
        text x=(half) y=(y) text-anchor="middle" { (middle) }
        text x=(CHART.right()) y=(y) text-anchor="end" { (end) " UTC" }
    }
}

/// What there is to see, for those who do not.
fn description(series: &[(&str, Vec<f64>)], window: Window, unit: &str) -> String {
    let [begin, _, end] = window.times();
    let told = series.iter().map(|(name, values)| {
        let last = values.last().copied().unwrap_or_default();
        format!(
            "{name}: {} at last, {} at most",
            label(last),
            label(highest([&**values]))
        )
    });
    let told = told.collect::<Vec<_>>().join("; ");
    format!("From {begin} to {end} UTC, in {unit}. {told}.")
}

/// A small chart in a table, beside the number that it is the way to.
pub fn spark(values: &[f64]) -> Markup {
    let top = highest([values]);
    let top = if top > 0.0 { top } else { 1.0 };
    html! {
        svg class="spark" viewBox={ "0 0 " (SPARK.width) " " (SPARK.height) } width=(SPARK.width) height=(SPARK.height) aria-hidden="true" {
            path class="grid-line" d={ "M0 " (SPARK.ground()) "H" (SPARK.width) } {}
            path class="series series-1" d=(SPARK.line(values, top)) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_axes_units_and_words() {
        let chart = Chart {
            id: "c",
            title: "How long they took",
            unit: "milliseconds",
            series: &[("p50", vec![1.0, 2.0]), ("p99", vec![9.0, 31.0])],
            more: ("/console/traces", "Slow traces"),
        };
        let drawn = chart.draw(Window::of(None, 1_769_862_630_000)).0;
        assert!(drawn.contains("aria-labelledby=\"c-title c-desc\""));
        assert!(drawn.contains("p99: 31 at last, 31 at most"));
        assert!(drawn.contains(">40</text>") && drawn.contains("12:30 UTC"));
        assert!(drawn.contains("series series-2"));
        assert!(!drawn.contains("style="), "the policy allows none");
    }
}
