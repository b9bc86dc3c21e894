//! Guests' standard output and error: whole lines into the logs and, unless quiet, the terminal; also to whoever receives telemetry.
//! Those that are spans go there alone.
//!
//! Lines go through a bounded queue to one writer thread, so that a slow terminal or disk never
//! holds up a request; lines that do not fit are dropped and counted in the log.

use crate::cli::Format;
use crate::problems::Problems;
use crate::telemetry::tasks::Tasks;
use crate::telemetry::trace::Scope;
use crate::telemetry::{Telemetry, logs, spans};
use bytes::Bytes;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// Lines that may wait for the writer.
const QUEUE: usize = 8192;
/// A longer line is broken up. No more is taken at once either, so that a guest's time is counted between.
const MAX_LINE: usize = 16 * 1024;

/// Which of the two a line came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Channel {
    fn name(self) -> &'static str {
        match self {
            Self::Out => "stdout",
            Self::Err => "stderr",
        }
    }
}

struct Line {
    component: &'static str,
    channel: Channel,
    text: Vec<u8>,
    /// Of the request that it was written for, where that is known.
    place: Scope,
}

enum Message {
    Line(Line),
    /// Answered once every line before it is written.
    Flush(SyncSender<()>),
}

/// The way into the logs. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    messages: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Logs {
    /// Starts the writer for logs in `dir`; also to the terminal, where a format for it is given, and as `telemetry`.
    ///
    /// # Errors
    /// When the folder cannot be made or the thread cannot be started.
    pub fn start(
        dir: &Path,
        terminal: Option<Format>,
        telemetry: Option<Arc<Telemetry>>,
    ) -> Result<Self, Problems> {
        std::fs::create_dir_all(dir).map_err(|e| {
            Problems::one(format!(
                "cannot create the log folder {}: {e}",
                dir.display()
            ))
        })?;
        let (messages, queue) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let sink = Sink {
            dir: dir.to_owned(),
            terminal,
            telemetry,
            files: HashMap::new(),
            dropped: dropped.clone(),
        };
        std::thread::Builder::new()
            .name("guest-logs".into())
            .spawn(move || sink.run(&queue))
            .map_err(|e| Problems::one(format!("cannot start the log writer: {e}")))?;
        Ok(Self { messages, dropped })
    }

    /// Waits until what was written before is in the files, for a second at most.
    pub fn flush(&self) {
        let deadline = Instant::now() + Duration::from_secs(1);
        let (done, written) = sync_channel(1);
        let mut flush = Message::Flush(done);
        // The queue is full as long as nobody reads the terminal.
        while let Err(TrySendError::Full(again)) = self.messages.try_send(flush) {
            if Instant::now() > deadline {
                return;
            }
            flush = again;
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }

    /// The stream an instance of `component` gets.
    pub fn stream(
        &self,
        component: &'static str,
        channel: Channel,
        tasks: &Option<Arc<Tasks>>,
    ) -> GuestOutput {
        GuestOutput(Arc::new(Partial {
            tasks: tasks.clone(),
            logs: self.clone(),
            component,
            channel,
            line: Mutex::default(),
        }))
    }

    fn send(&self, line: Line) {
        if self.messages.try_send(Message::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The writer thread's half.
struct Sink {
    dir: PathBuf,
    terminal: Option<Format>,
    telemetry: Option<Arc<Telemetry>>,
    files: HashMap<(&'static str, Channel), Option<File>>,
    dropped: Arc<AtomicU64>,
}

impl Sink {
    fn run(mut self, queue: &Receiver<Message>) {
        for message in queue {
            let line = match message {
                Message::Line(line) => line,
                Message::Flush(done) => {
                    let _ = done.send(());
                    continue;
                }
            };
            self.write(&line);
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                let text = format!("({dropped} lines were dropped here: written too fast)");
                self.write(&Line {
                    text: text.into_bytes(),
                    place: Scope::default(),
                    ..line
                });
            }
        }
    }

    fn write(&mut self, line: &Line) {
        if let Some(telemetry) = &self.telemetry {
            let record = logs::record(&line.text, line.channel.name(), &line.place);
            telemetry.exporter.log(line.component, record);
        }
        let mut text = line.text.clone();
        text.push(b'\n');
        if let Some(file) = self.file(line) {
            // A full disk must not end the host; the terminal still has the line.
            let _ = file.write_all(&text);
        }
        let shown = match self.terminal {
            None => return,
            Some(Format::Plain) => {
                let mut shown = format!("[{}] ", line.component).into_bytes();
                shown.extend_from_slice(&text);
                shown
            }
            Some(Format::Json) => json_line(line),
        };
        let _ = match line.channel {
            Channel::Out => io::stdout().lock().write_all(&shown),
            Channel::Err => io::stderr().lock().write_all(&shown),
        };
    }

    fn file(&mut self, line: &Line) -> Option<&mut File> {
        let dir = &self.dir;
        self.files
            .entry((line.component, line.channel))
            .or_insert_with(|| {
                let suffix = line.channel.name();
                let path = dir.join(format!("{}_{suffix}.txt", line.component));
                OpenOptions::new().create(true).append(true).open(path).ok()
            })
            .as_mut()
    }
}

fn json_line(line: &Line) -> Vec<u8> {
    let document = serde_json::json!({
        "level": "INFO",
        "component": line.component,
        "stream": line.channel.name(),
        "message": String::from_utf8_lossy(&line.text),
    });
    format!("{document}\n").into_bytes()
}

/// One instance's standard output or error.
#[derive(Clone)]
pub struct GuestOutput(Arc<Partial>);

struct Partial {
    logs: Logs,
    component: &'static str,
    channel: Channel,
    tasks: Option<Arc<Tasks>>,
    line: Mutex<Vec<u8>>,
}

impl Partial {
    fn push(&self, bytes: &[u8]) {
        let mut line = self.line.lock().unwrap_or_else(|e| e.into_inner());
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            for piece in part.chunks(MAX_LINE) {
                let text = piece.strip_suffix(b"\n");
                let more = text.unwrap_or(piece);
                if line.len() + more.len() > MAX_LINE {
                    self.send(std::mem::take(&mut line));
                }
                line.extend_from_slice(more);
                if text.is_some() {
                    self.send(std::mem::take(&mut line));
                }
            }
        }
    }

    fn send(&self, text: Vec<u8>) {
        // At once: when its request has been answered it may be too late.
        if let Some(tasks) = &self.tasks
            && spans::record(&text, tasks)
        {
            return;
        }
        self.logs.send(Line {
            component: self.component,
            channel: self.channel,
            text,
            place: self
                .tasks
                .as_ref()
                .map(|tasks| tasks.only())
                .unwrap_or_default(),
        });
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let rest = std::mem::take(self.line.get_mut().unwrap_or_else(|e| e.into_inner()));
        if !rest.is_empty() {
            self.send(rest);
        }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    // The one made of the other is a task for each stream, which is woken for each line while all of the instance waits.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > MAX_LINE {
            return Err(StreamError::trap("more is written than may be at once"));
        }
        self.0.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE)
    }
}

#[async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl AsyncWrite for GuestOutput {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(MAX_LINE)];
        self.0.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[test]
    fn lines_arrive_whole_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::start(dir.path(), None, None).unwrap();
        let output = logs.stream("cart", Channel::Out, &None);
        output.0.push(b"one\ntw");
        output.0.push(b"o\nthree");
        drop(output);
        logs.flush();
        let text = std::fs::read_to_string(dir.path().join("cart_stdout.txt")).unwrap();
        assert_eq!(text, "one\ntwo\nthree\n");
    }

    #[test]
    fn a_long_line_is_broken_up_and_nothing_is_added() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::start(dir.path(), None, None).unwrap();
        let output = logs.stream("cart", Channel::Out, &None);
        for length in [MAX_LINE, 2 * MAX_LINE, MAX_LINE + 1] {
            output.0.push("x".repeat(length).as_bytes());
            output.0.push(b"\n");
        }
        logs.flush();
        let text = std::fs::read_to_string(dir.path().join("cart_stdout.txt")).unwrap();
        let lengths: Vec<_> = text.lines().map(str::len).collect();
        assert_eq!(lengths, [MAX_LINE, MAX_LINE, MAX_LINE, MAX_LINE, 1]);
    }

    #[test]
    fn a_line_is_there_when_it_has_been_written() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::start(dir.path(), None, None).unwrap();
        let mut stream = logs.stream("cart", Channel::Err, &None).p2_stream();
        for number in 0..1000 {
            stream.write(format!("{number}\n").into()).unwrap();
        }
        logs.flush();
        let text = std::fs::read_to_string(dir.path().join("cart_stderr.txt")).unwrap();
        assert_eq!(text.lines().count(), 1000);
    }

    #[tokio::test]
    async fn no_more_is_taken_at_once_than_a_line_may_have() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::start(dir.path(), None, None).unwrap();
        let stream = logs.stream("cart", Channel::Out, &None);
        let long = vec![b'\n'; MAX_LINE + 1];
        assert!(stream.p2_stream().write(long.clone().into()).is_err());
        let mut stream = Pin::from(stream.async_stream());
        assert_eq!(stream.write(&long).await.unwrap(), MAX_LINE);
    }
}
