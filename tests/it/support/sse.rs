//! Server-sent events, read as a client reads them: whole messages count, and the
//! id of the last one is where to go on.

use serde_json::Value;

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub id: String,
    pub event: String,
    pub data: Value,
}

/// What has come on one connection.
#[derive(Default)]
pub struct Reader {
    bytes: Vec<u8>,
    /// The id to resume with; a message without data may carry it on.
    pub last: Option<String>,
}

impl Reader {
    /// A reader that goes on behind that id.
    pub fn behind(last: Option<String>) -> Self {
        Self { bytes: Vec::new(), last }
    }

    /// Takes what came, and gives the messages that are whole by now.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.bytes.extend_from_slice(bytes);
        let mut messages = Vec::new();
        while let Some(end) = self.bytes.windows(2).position(|two| two == b"\n\n") {
            let text: Vec<u8> = self.bytes.drain(..end + 2).collect();
            messages.extend(self.message(std::str::from_utf8(&text).unwrap()));
        }
        messages
    }

    fn message(&mut self, text: &str) -> Option<Message> {
        let field = |name: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            lines.collect::<Vec<_>>()
        };
        self.last = field("id").last().map(ToString::to_string).or(self.last.take());
        let (event, data) = (field("event").pop()?.to_owned(), field("data").join("\n"));
        let data = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}"));
        Some(Message { id: self.last.clone().unwrap(), event, data })
    }
}
