//! The map of services: who calls whom, and where that is drawn.

use std::collections::BTreeSet;
use std::f64::consts::TAU;

use serde::Deserialize;

use super::measures::Numbers;
use super::operations::Breaker;

/// How large the map is.
pub const SIZE: (f64, f64) = (960.0, 720.0);

/// How large the box of a service is.
pub const BOX: (f64, f64) = (124.0, 36.0);

/// How much room is taken by what is written at a line.
const LABEL: (f64, f64) = (96.0, 26.0);

/// The middle of the map.
const MIDDLE: (f64, f64) = (SIZE.0 / 2.0, SIZE.1 / 2.0);

/// Who stands in the middle, since it calls most of the others; and who stands first around it.
const HUB: &str = "gateway";
const FIRST: &str = "storefront";

/// Who calls whom, as the API tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Edges {
    /// What the buckets end with, in milliseconds; the last has no end.
    pub bounds_ms: Vec<f64>,
    /// By caller, then by callee.
    pub items: Vec<Call>,
}

/// The calls of one service by another.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Call {
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub callee: String,
    /// How many, and how they went.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// The calls of one service by another, and what the caller knows of the callee.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// Who calls.
    pub from: String,
    /// Who is called.
    pub to: String,
    /// How many, and how they went.
    pub numbers: Numbers,
    /// The caller's breaker, where it has reason to keep one.
    pub breaker: Option<Breaker>,
}

impl Edge {
    /// How it is coloured.
    pub fn tone(&self) -> &'static str {
        let is_open = self.breaker.as_ref().is_some_and(|it| it.state != "closed");
        match self.numbers.errors * 20 > self.numbers.calls {
            _ if is_open => "bad",
            true => "bad",
            false if self.numbers.errors > 0 => "waiting",
            false => "good",
        }
    }

    /// The state of the caller's breaker: who never had reason to keep one has none, which is as good as closed.
    pub fn breaker_state(&self) -> &str {
        self.breaker.as_ref().map_or("closed", |it| &it.state)
    }
}

/// Puts together what is measured and what the callers know: calls that are not made any more are no calls.
pub fn edges(calls: Edges, breakers: &[Breaker]) -> Vec<Edge> {
    let breaker = |from: &str, to: &str| {
        let mut own = breakers.iter();
        own.find(|it| it.from == from && it.to == to).cloned()
    };
    let measured = calls.items.into_iter().map(|mut call| {
        call.numbers.tell_apart(&calls.bounds_ms);
        Edge {
            breaker: breaker(&call.caller, &call.callee),
            from: call.caller,
            to: call.callee,
            numbers: call.numbers,
        }
    });
    let mut edges: Vec<_> = measured.collect();
    for breaker in breakers {
        let known = |edge: &Edge| edge.from == breaker.from && edge.to == breaker.to;
        if !edges.iter().any(known) {
            edges.push(Edge {
                from: breaker.from.clone(),
                to: breaker.to.clone(),
                numbers: Numbers::default(),
                breaker: Some(breaker.clone()),
            });
        }
    }
    edges.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
    edges
}

/// A service on the map.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The middle of its box.
    pub at: (f64, f64),
}

/// An edge on the map.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn<'a> {
    /// The edge.
    pub edge: &'a Edge,
    /// The line, as the path of an SVG.
    pub path: String,
    /// Where what there is to say of it is written.
    pub label: (f64, f64),
}

/// A map.
#[derive(Debug, Clone, PartialEq)]
pub struct Map<'a> {
    /// The services.
    pub nodes: Vec<Node>,
    /// Who calls whom.
    pub edges: Vec<Drawn<'a>>,
}

/// Draws the one that calls most of the others in the middle and those around it on an ellipse, from the left, so that no line need lead
/// through a box; and there and back are two lines.
pub fn draw(edges: &[Edge]) -> Map<'_> {
    let names: BTreeSet<&str> = edges.iter().flat_map(|it| [&*it.from, &*it.to]).collect();
    let (first, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| *name == FIRST);
    let (hub, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|name| *name == HUB);
    let around = [first, others].concat();
    let turn = TAU / around.len().max(1) as f64;
    let around = around.into_iter().enumerate();
    let around = around.map(|(index, name)| (name, on_ellipse(TAU / 2.0 + turn * index as f64)));
    let hub = hub.into_iter().map(|name| (name, MIDDLE));
    let nodes: Vec<_> = hub
        .chain(around)
        .map(|(name, at)| Node {
            name: name.to_owned(),
            at,
        })
        .collect();
    let at = |name: &str| {
        let node = nodes.iter().find(|node| node.name == name);
        node.map_or(MIDDLE, |node| node.at)
    };
    let mut taken: Vec<_> = nodes.iter().map(|node| (node.at, BOX)).collect();
    let edges = edges
        .iter()
        .map(|edge| line(edge, at(&edge.from), at(&edge.to), &mut taken));
    Map {
        edges: edges.collect(),
        nodes,
    }
}

fn on_ellipse(angle: f64) -> (f64, f64) {
    let radius = |size: f64, of_box: f64| size / 2.0 - of_box / 2.0 - 8.0;
    let (x, y) = (radius(SIZE.0, BOX.0), radius(SIZE.1, BOX.1));
    (MIDDLE.0 + x * angle.cos(), MIDDLE.1 + y * angle.sin())
}

/// The middle and the size of something.
type Place = ((f64, f64), (f64, f64));

/// A line that is bent a little to the right of who goes along it. What is written at it takes the first place along the line where nothing
/// is yet.
fn line<'a>(edge: &'a Edge, from: (f64, f64), to: (f64, f64), taken: &mut Vec<Place>) -> Drawn<'a> {
    const BEND: f64 = 0.09;
    const SHARES: [f64; 9] = [0.4, 0.3, 0.5, 0.25, 0.6, 0.2, 0.7, 0.15, 0.8];
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let bend = (
        (from.0 + to.0) / 2.0 - dy * BEND,
        (from.1 + to.1) / 2.0 + dx * BEND,
    );
    let (from, to) = (leave(from, bend), leave(to, bend));
    let mut places = SHARES.map(|share| along(from, bend, to, share)).into_iter();
    let is_free = |at: &(f64, f64)| !taken.iter().any(|place| overlap((*at, LABEL), *place));
    let label = places.find(is_free);
    let label = label.unwrap_or_else(|| along(from, bend, to, SHARES[0]));
    taken.push((label, LABEL));
    Drawn {
        edge,
        path: format!(
            "M{:.1} {:.1}Q{:.1} {:.1} {:.1} {:.1}",
            from.0, from.1, bend.0, bend.1, to.0, to.1
        ),
        label,
    }
}

/// Whether two things lie over each other.
fn overlap((a, a_size): Place, (b, b_size): Place) -> bool {
    let apart = |a: f64, b: f64, size: f64| (a - b).abs() >= size / 2.0;
    !apart(a.0, b.0, a_size.0 + b_size.0) && !apart(a.1, b.1, a_size.1 + b_size.1)
}

/// Where a line that goes from the middle of a box towards a point leaves the box.
fn leave(middle: (f64, f64), towards: (f64, f64)) -> (f64, f64) {
    let (dx, dy) = (towards.0 - middle.0, towards.1 - middle.1);
    let share = |half: f64, way: f64| half / way.abs().max(1e-9);
    let share = share(BOX.0 / 2.0 + 4.0, dx)
        .min(share(BOX.1 / 2.0 + 4.0, dy))
        .min(1.0);
    (middle.0 + dx * share, middle.1 + dy * share)
}

/// A point of a quadratic curve.
fn along(from: (f64, f64), bend: (f64, f64), to: (f64, f64), share: f64) -> (f64, f64) {
    let rest = 1.0 - share;
    let mix = |from: f64, bend: f64, to: f64| {
        rest * rest * from + 2.0 * rest * share * bend + share * share * to
    };
    (mix(from.0, bend.0, to.0), mix(from.1, bend.1, to.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(caller: &str, callee: &str, calls: i64, errors: i64) -> Call {
        Call {
            caller: caller.into(),
            callee: callee.into(),
            numbers: Numbers {
                calls,
                errors,
                ..Numbers::default()
            },
        }
    }

    fn measured(items: Vec<Call>) -> Edges {
        Edges {
            bounds_ms: vec![1.0],
            items,
        }
    }

    fn breaker(from: &str, to: &str, state: &str) -> Breaker {
        Breaker {
            from: from.into(),
            to: to.into(),
            state: state.into(),
            ..Breaker::default()
        }
    }

    #[test]
    fn a_call_that_is_not_made_any_more_stays_on_the_map() {
        let calls = vec![
            call("gateway", "users", 100, 0),
            call("gateway", "carts", 100, 4),
        ];
        let breakers = [
            breaker("gateway", "products", "open"),
            breaker("gateway", "users", "closed"),
        ];
        let edges = edges(measured(calls), &breakers);
        let told: Vec<_> = edges
            .iter()
            .map(|edge| (&*edge.to, edge.tone(), edge.breaker_state()))
            .collect();
        assert_eq!(
            told,
            [
                ("carts", "waiting", "closed"),
                ("products", "bad", "open"),
                ("users", "good", "closed")
            ]
        );
        assert_eq!(
            super::edges(measured(vec![call("a", "b", 10, 1)]), &[])[0].tone(),
            "bad"
        );
    }

    #[test]
    fn everything_is_on_the_paper_and_there_and_back_are_two_lines() {
        let names = [
            "carts",
            "events",
            "gateway",
            "orders",
            "products",
            "storefront",
            "users",
        ];
        let calls = names
            .iter()
            .flat_map(|from| names.map(|to| call(from, to, 1, 0)));
        let edges = edges(
            measured(calls.filter(|it| it.caller != it.callee).collect()),
            &[],
        );
        let map = draw(&edges);
        let (hub, first) = (&map.nodes[0], &map.nodes[1]);
        assert_eq!((hub.name.as_str(), hub.at), ("gateway", MIDDLE));
        assert!(
            first.name == "storefront" && first.at.0 < 100.0,
            "on the left"
        );
        for node in &map.nodes {
            let (x, y) = node.at;
            assert!(x >= BOX.0 / 2.0 && x <= SIZE.0 - BOX.0 / 2.0, "{node:?}");
            assert!(y >= BOX.1 / 2.0 && y <= SIZE.1 - BOX.1 / 2.0, "{node:?}");
        }
        for edge in &map.edges {
            let (x, y) = edge.label;
            assert!(
                (0.0..SIZE.0).contains(&x) && (0.0..SIZE.1).contains(&y),
                "{edge:?}"
            );
        }
        let paths: BTreeSet<_> = map.edges.iter().map(|edge| &edge.path).collect();
        assert_eq!(paths.len(), map.edges.len());
    }

    #[test]
    fn what_is_written_at_a_line_lies_over_nothing() {
        let neighbours = [
            ("gateway", "orders"),
            ("gateway", "products"),
            ("gateway", "carts"),
            ("orders", "products"),
            ("orders", "payments"),
            ("orders", "events"),
            ("events", "orders"),
            ("events", "products"),
        ];
        let calls = neighbours.map(|(from, to)| call(from, to, 1, 0));
        let edges = edges(measured(calls.to_vec()), &[]);
        let map = draw(&edges);
        let boxes = map.nodes.iter().map(|node| (node.at, BOX));
        let labels = map.edges.iter().map(|edge| (edge.label, LABEL));
        let places: Vec<_> = boxes.chain(labels).collect();
        for (index, place) in places.iter().enumerate() {
            for other in &places[index + 1..] {
                assert!(!overlap(*place, *other), "{place:?} and {other:?}");
            }
        }
    }
}
