//! Logs, to standard error. A line is handed to a thread that writes it; when
//! that is behind (a full disk, a pipe that nobody reads), lines are lost and
//! counted, and the service goes on.

use std::io::{self, IsTerminal, Write};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

/// In which form a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object.
    Json,
}

impl FromStr for Format {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

/// Lines that wait to be written; further ones are lost.
const LINES_WAITING: usize = 4096;

/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Libraries that talk about every connection: heard from `warn` on.
const QUIET: [&str; 5] = ["hyper", "hyper_util", "h2", "rustls", "hickory"];

/// Starts logging, once per process: a second call changes nothing. Keep the
/// result until the end, so that the last lines are written.
pub fn start(level: LevelFilter, format: Format) -> Flush {
    let colour = io::stderr().is_terminal();
    let (lines, flush) = Lines::start(io::stderr());
    // An error says that logging was started before: then that one counts.
    let _ = tracing::subscriber::set_global_default(subscriber(level, format, colour, lines));
    flush
}

fn subscriber(
    level: LevelFilter,
    format: Format,
    colour: bool,
    lines: Lines,
) -> impl Subscriber + Send + Sync {
    let layer = tracing_subscriber::fmt::layer().with_ansi(colour).with_writer(lines);
    let layer = match format {
        Format::Human => layer.boxed(),
        Format::Json => layer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter(level)))
}

/// `level`, and at most `warn` for the talkative. Targets match by prefix, so
/// `hickory` is all of its crates.
fn filter(level: LevelFilter) -> Targets {
    let quiet = level.min(LevelFilter::WARN);
    Targets::new().with_default(level).with_targets(QUIET.map(|target| (target, quiet)))
}

/// Says a program's last words on standard error, unless nobody takes them
/// within a second: an end must not wait for a reader.
pub fn last_words(text: String) {
    let (done, said) = sync_channel(1);
    let thread = std::thread::Builder::new().name("last-words".to_owned());
    // Without a thread nothing is said; the exit code still tells.
    let _ = thread.spawn(move || {
        let _ = writeln!(io::stderr(), "{text}");
        let _ = done.try_send(());
    });
    let _ = said.recv_timeout(LAST_LINES);
}

/// How many lines were lost so far. Clones are the same count.
#[derive(Clone, Default)]
pub struct Lost(Counter);

impl Lost {
    pub(super) fn counter(&self) -> Counter {
        self.0.clone()
    }
}

enum Message {
    Line(Vec<u8>),
    /// To be answered once everything before it is written.
    Flush(SyncSender<()>),
}

/// Takes lines and never blocks.
#[derive(Clone)]
struct Lines {
    queue: SyncSender<Message>,
    lost: Lost,
}

impl Lines {
    fn start(out: impl Write + Send + 'static) -> (Self, Flush) {
        let (queue, waiting) = sync_channel(LINES_WAITING);
        let lines = Self { queue: queue.clone(), lost: Lost::default() };
        let (lost, told) = (lines.lost.clone(), lines.lost.clone());
        let thread = std::thread::Builder::new().name("log".to_owned());
        // Without a thread, lines are lost, which `Lines` is made for.
        let _ = thread.spawn(move || write_lines(&waiting, &lost, out));
        (lines, Flush { queue, lost: told })
    }
}

fn write_lines(waiting: &Receiver<Message>, lost: &Lost, mut out: impl Write) {
    let mut told = 0;
    for message in waiting {
        // There is nowhere to tell that the log can't be written.
        match message {
            Message::Line(line) => {
                let _ = out.write_all(&line);
            }
            Message::Flush(done) => {
                let _ = out.flush();
                let _ = done.try_send(());
            }
        }
        let lost = lost.0.get();
        let count = lost - told;
        told = lost;
        if count > 0 {
            let _ = writeln!(out, "{count} log lines were lost here: standard error was not read in time");
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// A line comes in one call.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.lost.0.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the lines that wait when dropped, for at most a second.
#[must_use = "the last lines are written when this is dropped"]
pub struct Flush {
    queue: SyncSender<Message>,
    lost: Lost,
}

impl Flush {
    /// How many lines were lost so far.
    pub fn lost(&self) -> &Lost {
        &self.lost
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex, mpsc};
    use tracing::subscriber::with_default;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: LevelFilter, format: Format, talk: impl FnOnce()) -> String {
        let page = Page::default();
        let (lines, flush) = Lines::start(page.clone());
        with_default(subscriber(level, format, false, lines), talk);
        drop(flush);
        String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_of_the_level_is_written_and_one_below_is_not() {
        let page = logged(LevelFilter::INFO, Format::Human, || {
            tracing::info!(webhooks = 3, "started");
            tracing::debug!("unheard");
        });
        assert!(page.contains("INFO") && page.contains("started webhooks=3"), "{page}");
        assert!(!page.contains("unheard"), "{page}");
    }

    #[test]
    fn talkative_libraries_are_heard_from_warn_on() {
        let page = logged(LevelFilter::DEBUG, Format::Human, || {
            tracing::debug!(target: "hyper::proto", "unheard");
            tracing::info!(target: "hickory_resolver::name_server", "unheard");
            tracing::warn!(target: "rustls::conn", "heard");
            tracing::debug!("ours");
        });
        assert!(page.contains("heard") && page.contains("ours") && !page.contains("unheard"), "{page}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let page = logged(LevelFilter::INFO, Format::Json, || {
            tracing::info!(count = 1, "one\nline");
            tracing::warn!("two");
        });
        let lines: Vec<serde_json::Value> =
            page.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0]["message"].as_str(), lines[0]["count"].as_i64()), (Some("one\nline"), Some(1)));
    }

    /// Blocks until it is let go, then passes on what is written.
    struct Blocked(mpsc::Receiver<()>, mpsc::Sender<String>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn fault_22_a_log_that_nobody_reads_loses_lines_and_holds_nobody_up() {
        let ((go, gate), (written, page)) = (mpsc::channel(), mpsc::channel());
        let (lines, flush) = Lines::start(Blocked(gate, written));
        for at in 0..LINES_WAITING + 100 {
            (&lines).write_all(format!("line {at}\n").as_bytes()).unwrap();
        }
        drop(go);
        let next = || page.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(next(), "line 0\n");
        // All that had a place, and one line in the hand of the thread.
        let told = (0..=LINES_WAITING + 1).map(|_| next()).find(|text| text.contains("lost"));
        assert!(told.is_some() || next().contains("lost"));
        drop(flush);
    }
}
