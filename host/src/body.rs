//! Bodies the host makes or wraps.

use bytes::Bytes;
use futures::FutureExt;
use http::{Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use wasmtime_wasi_http::{Error, WasiBody};

/// A body that is there already.
pub fn full(bytes: Bytes) -> WasiBody {
    Full::new(bytes).map_err(Into::into).boxed_unsync()
}

/// Ends a body with an error when nothing comes for a while.
pub struct IdleTimeout<B> {
    body: B,
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<B> IdleTimeout<B> {
    /// The reader gets a read timeout after `limit` without data.
    pub fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            limit,
            sleep: None,
        }
    }
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for IdleTimeout<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.sleep = None;
            return Poll::Ready(frame);
        }
        let limit = self.limit;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Takes along what a response's body has ready, so that head and body go out in one write.
///
/// The component goes on to write its body as soon as it has given the head: it gets one turn of
/// the scheduler to do so. A body that is then whole gets its length; any other streams as before.
pub async fn settle(response: Response<WasiBody>) -> Response<WasiBody> {
    if response.body().is_end_stream() {
        return response;
    }
    tokio::task::yield_now().await;
    let (head, mut body) = response.into_parts();
    let first = body.frame().now_or_never();
    let settled = match first {
        None => body,
        Some(None) => full(Bytes::new()),
        Some(Some(Ok(frame))) if frame.is_data() => match body.frame().now_or_never() {
            Some(None) => full(frame.into_data().unwrap_or_default()),
            second => Resumed {
                ready: [Some(Ok(frame)), second.flatten()],
                rest: body,
            }
            .boxed_unsync(),
        },
        Some(first) => Resumed {
            ready: [first, None],
            rest: body,
        }
        .boxed_unsync(),
    };
    Response::from_parts(head, settled)
}

/// A body of which the beginning was taken already.
struct Resumed {
    ready: [Option<Result<Frame<Bytes>, Error>>; 2],
    rest: WasiBody,
}

impl Body for Resumed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.ready.iter_mut().find_map(Option::take) {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.iter().all(Option::is_none) && self.rest.is_end_stream()
    }
}

/// Ties something, such as a place in the server, to a body, until that is sent or dropped.
pub fn hold(body: WasiBody, held: impl Send + 'static) -> WasiBody {
    body.map_err(move |error| {
        let _held = &held;
        error
    })
    .boxed_unsync()
}

/// A stream of server-sent events, which ends when the host is told to stop: whoever reads it comes back by itself, to a
/// host that goes on.
pub struct EventStream {
    body: WasiBody,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
    /// Set when nobody reads any more, though it has not come to its own end.
    cut: Arc<AtomicBool>,
}

impl EventStream {
    /// Whether a response is such a stream.
    pub fn is(response: &Response<WasiBody>) -> bool {
        let kind = response.headers().get(header::CONTENT_TYPE);
        kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
    }

    /// Ends `body` when `stopping` is cancelled; sets `cut` when it goes before its own end.
    pub fn new(body: WasiBody, stopping: CancellationToken, cut: Arc<AtomicBool>) -> Self {
        Self {
            body,
            stopping: Box::pin(stopping.cancelled_owned()),
            ended: false,
            cut,
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if !self.ended {
            self.cut.store(true, Ordering::Relaxed);
        }
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.ended = frame.is_none();
        Poll::Ready(frame)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures::{StreamExt, channel::mpsc};
    use http_body_util::StreamBody;

    /// A settled body and the way to write more of it.
    async fn settled(
        ready: &[&'static str],
        ended: bool,
    ) -> (WasiBody, mpsc::UnboundedSender<Bytes>) {
        let (mut writer, reader) = mpsc::unbounded();
        for part in ready {
            writer
                .unbounded_send(Bytes::from_static(part.as_bytes()))
                .unwrap();
        }
        if ended {
            writer.disconnect();
        }
        let body = StreamBody::new(reader.map(|bytes| Ok(Frame::data(bytes)))).boxed_unsync();
        let response = settle(Response::new(body)).await;
        (response.into_body(), writer)
    }

    #[tokio::test]
    async fn a_body_that_is_whole_has_a_length() {
        let (body, _) = settled(&["whole"], true).await;
        assert_eq!(body.size_hint().exact(), Some(5));
        let (body, _) = settled(&[], true).await;
        assert_eq!(body.size_hint().exact(), Some(0));
    }

    #[tokio::test]
    async fn nothing_of_a_stream_is_lost_or_waited_for() {
        for ready in [&[][..], &["a"], &["a", "b"], &["a", "b", "c"]] {
            let (body, writer) = settled(ready, false).await;
            assert_eq!(body.size_hint().exact(), None);
            writer.unbounded_send(Bytes::from_static(b"end")).unwrap();
            drop(writer);
            let read = body.collect().await.unwrap().to_bytes();
            assert_eq!(read, format!("{}end", ready.concat()));
        }
    }

    #[tokio::test]
    async fn a_stream_of_events_ends_at_the_stop_and_says_whether_it_was_cut() {
        let stream = |stopping: &CancellationToken, ended: bool| {
            let cut = Arc::new(AtomicBool::new(false));
            let body = match ended {
                true => full(Bytes::from_static(b"data: 0\n\n")),
                false => StreamBody::new(futures::stream::pending()).boxed_unsync(),
            };
            (EventStream::new(body, stopping.clone(), cut.clone()), cut)
        };
        let stopping = CancellationToken::new();
        let (whole, cut) = stream(&stopping, true);
        assert_eq!(whole.collect().await.unwrap().to_bytes().len(), 9);
        assert!(!cut.load(Ordering::Relaxed));
        let (left, cut) = stream(&stopping, false);
        drop(left);
        assert!(cut.load(Ordering::Relaxed));
        let (endless, cut) = stream(&stopping, false);
        stopping.cancel();
        assert!(endless.collect().await.unwrap().to_bytes().is_empty());
        assert!(cut.load(Ordering::Relaxed));
    }
}
