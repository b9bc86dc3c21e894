//! What is exported in one request, and how it becomes two where that is too large for the receiver.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
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
        split(self.resource_spans, half, |it| &mut it.scope_spans[0].spans)
            .map(|resource_spans| Self { resource_spans })
    }
}

impl Batch for ExportLogsServiceRequest {
    fn count(&self) -> usize {
        let scopes = self.resource_logs.iter().flat_map(|it| &it.scope_logs);
        scopes.map(|scope| scope.log_records.len()).sum()
    }

    fn halves(self) -> [Self; 2] {
        let half = self.count() / 2;
        split(self.resource_logs, half, |it| {
            &mut it.scope_logs[0].log_records
        })
        .map(|resource_logs| Self { resource_logs })
    }
}

/// Groups with the first so many of their items, and groups with the others. The exporter's groups have all of theirs in one scope.
fn split<G: Clone, I>(
    groups: Vec<G>,
    first: usize,
    items: fn(&mut G) -> &mut Vec<I>,
) -> [Vec<G>; 2] {
    let mut left = first;
    let mut halves = [Vec::new(), Vec::new()];
    for mut group in groups {
        let mut these = std::mem::take(items(&mut group));
        let others = these.split_off(left.min(these.len()));
        left -= these.len();
        for (half, part) in halves.iter_mut().zip([these, others]) {
            if !part.is_empty() {
                let mut group = group.clone();
                *items(&mut group) = part;
                half.push(group);
            }
        }
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

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
