//! The live stream, over any number of connections. Whatever ends one, the next
//! goes on behind the last message that was handed out: nothing is missing and
//! nothing comes twice. Only what can't get better by waiting is a failure.

use std::collections::VecDeque;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::value::RawValue;

use super::client::Client;
use super::{Exit, Failure, tell};

/// The server says something every 5 seconds.
const SILENCE: Duration = Duration::from_secs(15);

/// Between two tries to connect, at first and at most.
const SOON: Duration = Duration::from_millis(250);
const LATER: Duration = Duration::from_secs(5);

/// No message is longer.
const LONGEST: usize = 16 << 20;

/// What happened.
pub(super) struct News {
    /// `event`, `delivery`, `number` or `gap`.
    pub(super) kind: String,
    /// What of it, to the letter.
    pub(super) data: Box<RawValue>,
}

/// A place in the stream, and what happened right before it, if that was anything.
pub(super) struct Step {
    pub(super) cursor: String,
    pub(super) news: Option<News>,
}

pub(super) struct Follow<'a> {
    client: &'a Client,
    path: String,
    /// That of the last step which was read.
    cursor: Option<String>,
    body: Option<Incoming>,
    reader: Reader,
    ready: VecDeque<Step>,
    /// Whether a connection came about before: from then on nothing but a refusal
    /// ends it.
    began: bool,
}

impl<'a> Follow<'a> {
    /// What happens behind `cursor`, or from now on.
    pub(super) fn new(client: &'a Client, path: String, cursor: Option<String>) -> Self {
        let (reader, ready) = (Reader::default(), VecDeque::new());
        Self { client, path, cursor, body: None, reader, ready, began: false }
    }

    /// The next step. Waits for it, however long; a step that is dropped unread is
    /// lost, one that was not asked for is not.
    pub(super) async fn next(&mut self) -> Result<Step, Failure> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(step);
            }
            if self.body.is_none() {
                self.connect().await?;
            }
            let Some(body) = &mut self.body else { continue };
            match tokio::time::timeout(SILENCE, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.ready.extend(self.reader.take(&data)?);
                        self.cursor =
                            self.ready.back().map(|step| step.cursor.clone()).or(self.cursor.take());
                    }
                }
                Ok(Some(Err(_)) | None) => self.cut("the server ended the connection"),
                Err(_) => self.cut("the server has fallen silent"),
            }
        }
    }

    fn cut(&mut self, why: &str) {
        tell(format_args!("{why}: going on where it was"));
        (self.body, self.reader) = (None, Reader::default());
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let mut wait = SOON;
        let mut told = !self.began;
        loop {
            match self.client.stream(&self.path, self.cursor.as_deref()).await {
                Ok(body) => {
                    if self.began {
                        tell("connected again");
                    } else {
                        tell(format_args!(
                            "following what happens at {}; Ctrl-C ends it",
                            self.client.base()
                        ));
                    }
                    (self.body, self.began) = (Some(body), true);
                    return Ok(());
                }
                // A key that was forgotten, an account that is gone: waiting helps nobody.
                Err(failure) if !self.began || failure.exit != Exit::Server => return Err(failure),
                Err(failure) if !told => {
                    tell(format_args!(
                        "{}: trying again",
                        failure.message.lines().next().unwrap_or_default()
                    ));
                    told = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LATER);
        }
    }
}

/// Reads server-sent events, in whatever pieces they come.
#[derive(Default)]
struct Reader {
    text: Vec<u8>,
    cursor: Option<String>,
}

impl Reader {
    /// The steps that are whole with this piece.
    fn take(&mut self, piece: &[u8]) -> Result<Vec<Step>, Failure> {
        // The end of a message may lie across pieces.
        let mut from = self.text.len().saturating_sub(1);
        self.text.extend_from_slice(piece);
        let mut steps = Vec::new();
        let mut begin = 0;
        while let Some(at) = self.text[from..].windows(2).position(|two| two == b"\n\n") {
            let end = from + at;
            let message = String::from_utf8_lossy(&self.text[begin..end]).into_owned();
            steps.extend(self.step(&message)?);
            (begin, from) = (end + 2, end + 2);
        }
        self.text.drain(..begin);
        if self.text.len() > LONGEST {
            return Err(strange("a message has no end"));
        }
        Ok(steps)
    }

    fn step(&mut self, message: &str) -> Result<Option<Step>, Failure> {
        let field = |name: &str| {
            let lines = message.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>()
        };
        if let Some(id) = field("id").last() {
            self.cursor = Some((*id).to_owned());
        }
        let Some(cursor) = self.cursor.clone() else { return Ok(None) };
        let news = match field("event").last() {
            Some(kind) => {
                let data = RawValue::from_string(field("data").join("\n"));
                Some(News {
                    kind: (*kind).to_owned(),
                    data: data.map_err(|_| strange("a message is no JSON"))?,
                })
            }
            None => None,
        };
        Ok(Some(Step { cursor, news }))
    }
}

fn strange(what: &str) -> Failure {
    let hint = "is that a Bellwether server, and does what stands between leave the stream as it is?";
    Failure::new(Exit::Failed, format!("the stream can't be read: {what}\nhint: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 1000\nid: a\n\nid: b\nevent: event\ndata: {\"x\":\ndata: 1}\n\n: nothing new\nid: c\n\nid: d\nevent: gap\ndata: {}\n\n";

    fn told(steps: &[Step]) -> Vec<(&str, Option<(&str, &str)>)> {
        steps
            .iter()
            .map(|step| {
                (step.cursor.as_str(), step.news.as_ref().map(|news| (news.kind.as_str(), news.data.get())))
            })
            .collect()
    }

    #[test]
    fn messages_are_read_alike_in_whatever_pieces_they_come() {
        let whole =
            [("a", None), ("b", Some(("event", "{\"x\":\n1}"))), ("c", None), ("d", Some(("gap", "{}")))];
        for size in 1..=STREAM.len() {
            let mut reader = Reader::default();
            let pieces = STREAM.as_bytes().chunks(size);
            let steps: Vec<Step> = pieces.flat_map(|piece| reader.take(piece).unwrap()).collect();
            assert_eq!(told(&steps), whole, "in pieces of {size}");
        }
    }

    #[test]
    fn a_message_without_end_is_not_gathered_for_ever() {
        let mut reader = Reader::default();
        let piece = vec![b'x'; 1 << 20];
        assert!((0..20).any(|_| reader.take(&piece).is_err()));
    }
}
