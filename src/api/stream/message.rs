//! Messages as server-sent events spell them: fields, a line each, and an empty
//! line behind them.

use std::fmt::Write;

use super::LISTING;
use crate::api::{paging, wire};
use crate::store::journal::{News, Place};

/// The first lines: when to come back after the connection has ended, and the
/// place, so that who is cut before the first message can resume, too.
pub(super) fn opening(place: Place) -> String {
    format!("retry: 1000\nid: {}\n\n", id(place))
}

/// What keeps the connection alive, and carries the place over what was not asked
/// for: an id without data is remembered and no message.
pub(super) fn heartbeat(place: Place) -> String {
    format!(": nothing new\nid: {}\n\n", id(place))
}

fn id(place: Place) -> String {
    paging::cursor(LISTING, place)
}

/// Writes what happened.
///
/// JSON that came from elsewhere may have line breaks between its tokens: each
/// line of data is a field of its own.
pub(super) fn write(to: &mut String, place: Place, news: News) {
    let data = wire::StreamData::from(news);
    let json = serde_json::to_string(&data).expect("these types always serialise");
    let _ = write!(to, "id: {}\nevent: {}\n", id(place), data.name());
    for line in json.split(['\n', '\r']) {
        let _ = writeln!(to, "data: {line}");
    }
    to.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::EventId;
    use crate::model::number::Stale;
    use crate::model::time::Timestamp;
    use crate::store::catalog::EventRow;

    #[test]
    fn data_with_line_breaks_is_still_one_message_of_the_same_json() {
        let row = EventRow {
            id: EventId::new(Timestamp::default(), 1, 1),
            accepted_at: Timestamp::default(),
            sequence: 1,
            phone_number: None,
            app: None,
            resends: 0,
            test: false,
            snapshot: false,
            derived: None,
            stale: Stale::default(),
            body: b"{\"a\":\r\n\n [1,\r2]}".to_vec(),
        };
        let mut text = String::new();
        write(&mut text, Place::default(), News::Event(row));
        let (fields, rest) = text.split_once("\n\n").unwrap();
        assert!(rest.is_empty() && !text.contains('\r'), "{text}");
        let data: Vec<&str> = fields.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let json: serde_json::Value = serde_json::from_str(&data.join("\n")).unwrap();
        assert_eq!(json["body"], serde_json::json!({"a": [1, 2]}));
    }
}
