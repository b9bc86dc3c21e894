//! What is exported in one request, and how it becomes two where that is too large for the receiver.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;
use serde::Serialize;

/// Spans, or log records, of some components.
pub trait Batch: Message + Serialize + Sized {
    /// How many there are.
    fn count(&self) -> usize;

    /// Half as many, and the others.
    fn halves(self) -> [Self; 2];
}

impl Batch for ExportTraceServiceRequest {
    fn count(&self) -> usize {
        let scopes = self.resource_spans.iter().flat_map(|it| &it.scope_spans);
        scopes.map(|scope| scope.spans.len()).sum()
    }

    fn halves(self) -> [Self; 2] {
        let half = self.count() / 2;
        let spans = |it: &mut ResourceSpans| std::mem::take(&mut it.scope_spans[0].spans);
        let with = |it: &ResourceSpans, spans| {
            let mut it = it.clone();
            it.scope_spans[0].spans = spans;
            it
        };
        split(self.resource_spans, half, spans, with).map(|resource_spans| Self { resource_spans })
    }
}

impl Batch for ExportLogsServiceRequest {
    fn count(&self) -> usize {
        let scopes = self.resource_logs.iter().flat_map(|it| &it.scope_logs);
        scopes.map(|scope| scope.log_records.len()).sum()
    }

    fn halves(self) -> [Self; 2] {
        let half = self.count() / 2;
        let records = |it: &mut ResourceLogs| std::mem::take(&mut it.scope_logs[0].log_records);
        let with = |it: &ResourceLogs, records| {
            let mut it = it.clone();
            it.scope_logs[0].log_records = records;
            it
        };
        split(self.resource_logs, half, records, with).map(|resource_logs| Self { resource_logs })
    }
}

/// Groups with the first so many of their items, and groups with the others. `take` leaves a group without its items, and `with` makes one like it
/// with some; in the exporter's groups all are in one scope.
fn split<G, I>(
    groups: Vec<G>,
    first: usize,
    take: impl Fn(&mut G) -> Vec<I>,
    with: impl Fn(&G, Vec<I>) -> G,
) -> [Vec<G>; 2] {
    let mut left = first;
    let (mut these, mut others) = (Vec::new(), Vec::new());
    for mut group in groups {
        let mut items = take(&mut group);
        let rest = items.split_off(left.min(items.len()));
        left -= items.len();
        if !items.is_empty() {
            these.push(with(&group, items));
        }
        if !rest.is_empty() {
            others.push(with(&group, rest));
        }
    }
    [these, others]
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};

    fn group(count: usize) -> ResourceSpans {
        ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![Span::default(); count],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[test]
    fn halves_have_all_of_it() {
        for counts in [&[1, 1, 1][..], &[7], &[2, 9, 1], &[1, 1]] {
            let resource_spans = counts.iter().map(|count| group(*count)).collect();
            let batch = ExportTraceServiceRequest { resource_spans };
            let count = batch.count();
            let [these, others] = batch.halves();
            assert_eq!(
                (these.count(), others.count()),
                (count / 2, count - count / 2)
            );
        }
    }
}
