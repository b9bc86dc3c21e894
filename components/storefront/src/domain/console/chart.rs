//! The geometry of charts: where on a drawing what is to be drawn.

use std::fmt::Write;

/// How large a drawing is, and how much of it is left for what is written beside the axes.
#[derive(Debug, Clone, Copy)]
pub struct Paper {
    /// How wide it is.
    pub width: f64,
    /// How high it is.
    pub height: f64,
    /// What is left on the left, for the values.
    pub left: f64,
    /// What is left below, for the times.
    pub below: f64,
    /// What is left above and on the right, so that nothing is cut off.
    pub edge: f64,
}

/// A chart with axes.
pub const CHART: Paper = Paper {
    width: 400.0,
    height: 190.0,
    left: 52.0,
    below: 24.0,
    edge: 10.0,
};

/// A small one without.
pub const SPARK: Paper = Paper {
    width: 120.0,
    height: 28.0,
    left: 1.0,
    below: 1.0,
    edge: 2.0,
};

/// About how many lines a chart has across.
const LINES: f64 = 4.0;

impl Paper {
    /// Where the values begin: the axis of time.
    pub fn ground(&self) -> f64 {
        self.height - self.below
    }

    /// Where the times end.
    pub fn right(&self) -> f64 {
        self.width - self.edge
    }

    fn x(&self, point: usize, points: usize) -> f64 {
        let last = points.saturating_sub(1).max(1);
        self.left + (self.right() - self.left) * point as f64 / last as f64
    }

    /// How high a value is drawn where the axis goes up to `top`.
    pub fn y(&self, value: f64, top: f64) -> f64 {
        self.ground() - (self.ground() - self.edge) * value / top
    }

    /// A line through values, as the path of an SVG.
    pub fn line(&self, values: &[f64], top: f64) -> String {
        let mut path = String::new();
        for (point, value) in values.iter().enumerate() {
            let command = if point == 0 { 'M' } else { 'L' };
            let (x, y) = (self.x(point, values.len()), self.y(*value, top));
            write!(path, "{command}{x:.1} {y:.1}").expect("writing to a string cannot fail");
        }
        path
    }
}

/// The highest of several series.
pub fn highest<'a>(series: impl IntoIterator<Item = &'a [f64]>) -> f64 {
    series.into_iter().flatten().copied().fold(0.0, f64::max)
}

/// The values at which lines go across a chart whose highest value is this, from 0; the last is where the axis ends.
pub fn ticks(highest: f64) -> Vec<f64> {
    if highest <= 0.0 {
        return vec![0.0, 1.0];
    }
    let step = round_step(highest / LINES);
    let lines = (highest / step).ceil() as usize;
    (0..=lines).map(|line| line as f64 * step).collect()
}

/// The next 1, 2 or 5, with as many zeros as it takes; nothing smaller than a hundredth.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor()).max(0.01);
    let steps = [1.0, 2.0, 5.0].map(|digit| digit * power);
    let fits = steps.into_iter().find(|fits| *fits >= step * 0.999);
    fits.unwrap_or(10.0 * power)
}

/// A value at an axis, without zeros that say nothing.
pub fn label(value: f64) -> String {
    let short = |value: f64| {
        let text = format!("{value:.2}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        text.to_owned()
    };
    match value {
        10_000.0.. => format!("{}k", short(value / 1000.0)),
        _ => short(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_values() {
        assert_eq!(ticks(7.3), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(ticks(100.0), [0.0, 50.0, 100.0]);
        assert_eq!(ticks(0.0), [0.0, 1.0], "a chart of nothing has an axis too");
        let labels = |highest| ticks(highest).into_iter().map(label).collect::<Vec<_>>();
        assert_eq!(labels(0.15), ["0", "0.05", "0.1", "0.15"]);
        assert_eq!(labels(31_000.0), ["0", "10k", "20k", "30k", "40k"]);
        for highest in [0.001, 0.02, 1.0, 3.0, 99.9, 1e6] {
            let ticks = ticks(highest);
            assert!(ticks.len() <= 6, "{ticks:?}");
            assert!(ticks.last().is_some_and(|top| *top >= highest), "{ticks:?}");
        }
    }

    #[test]
    fn a_line_goes_from_edge_to_edge() {
        assert_eq!(
            CHART.line(&[0.0, 5.0, 10.0], 10.0),
            "M52.0 166.0L221.0 88.0L390.0 10.0"
        );
        assert_eq!(CHART.line(&[10.0], 10.0), "M52.0 10.0");
        assert_eq!(CHART.line(&[], 1.0), "");
    }

    #[test]
    fn the_highest_is_the_highest_of_all() {
        assert_eq!(highest([&[1.0, 3.0][..], &[2.0]]), 3.0);
        assert_eq!(highest([]), 0.0);
    }
}
