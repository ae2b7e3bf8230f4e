//! What commands print: the API's own JSON, or tables and records for people.
//!
//! Much of what is shown was written by others: names, answers of receivers. On a
//! terminal it must not do anything, so control characters are shown, not sent.

use std::io::{ErrorKind, IsTerminal, Write};

use serde_json::Value;

use super::{Exit, Failure};

/// A column of a table or a line of a record: its name, and the JSON pointer of
/// what it shows.
pub(super) type Column = (&'static str, &'static str);

/// What stands for nothing.
const NONE: &str = "-";

/// How things are printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// As the API said it.
    pub(super) json: bool,
    colours: bool,
}

impl Output {
    /// For this process's standard output.
    pub(super) fn new(json: bool, no_color: bool) -> Self {
        Self { json, colours: !no_color && std::io::stdout().is_terminal() }
    }

    /// Prints items below their columns' names.
    pub(super) fn table(self, columns: &[Column], items: &[Value]) -> Result<(), Failure> {
        let rows: Vec<Vec<String>> =
            items.iter().map(|item| columns.iter().map(|(_, at)| cell(item.pointer(at))).collect()).collect();
        let width = |at: usize| {
            let cells = rows.iter().map(|row| row[at].chars().count());
            cells.chain([columns[at].0.len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        let names: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut text = self.paint(&aligned(&names, &widths, ToOwned::to_owned), "1");
        for row in &rows {
            text.push('\n');
            text.push_str(&aligned(row, &widths, |word| self.coloured(word)));
        }
        print(text)
    }

    /// Prints what is there of an item, a line each.
    pub(super) fn record(self, fields: &[Column], item: &Value) -> Result<(), Failure> {
        let there: Vec<_> =
            fields.iter().filter(|(_, at)| item.pointer(at).is_some_and(|value| !value.is_null())).collect();
        let width = there.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, at) in there {
            print(format_args!("{name:width$}  {}", self.coloured(&cell(item.pointer(at)))))?;
        }
        Ok(())
    }

    /// Words by which something is told to be well or not stand out.
    pub(super) fn coloured(self, word: &str) -> String {
        match word {
            "delivered" | "ok" | "completed" => self.paint(word, "32"),
            "pending" | "note" | "running" | "waiting" => self.paint(word, "33"),
            "exhausted" | "wrong" | "failing" => self.paint(word, "31"),
            _ => word.to_owned(),
        }
    }

    fn paint(self, text: &str, colour: &str) -> String {
        if self.colours { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn aligned(cells: &[String], widths: &[usize], paint: impl Fn(&str) -> String) -> String {
    let mut line = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        line.push_str(&paint(cell));
        if at + 1 < cells.len() {
            // Two blanks between columns; counted by what is seen, not by its colour.
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
        }
    }
    line
}

/// A value as people read it.
pub(super) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => NONE.to_owned(),
        Some(Value::String(text)) if text.is_empty() => NONE.to_owned(),
        Some(Value::String(text)) => clean(text),
        Some(Value::Array(items)) if items.is_empty() => NONE.to_owned(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", "),
        Some(other) => clean(&other.to_string()),
    }
}

/// Text of others without effect on a terminal: what controls it, or turns the
/// direction of writing, is shown by its number.
pub(super) fn clean(text: &str) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(acts) {
        return text.to_owned();
    }
    text.chars().fold(String::new(), |mut shown, c| {
        if acts(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        shown
    })
}

/// Prints a line of data. Whoever has read enough of it (`| head`) ends the
/// command, without a word: that is no failure.
pub(super) fn print(line: impl std::fmt::Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| {
        if error.kind() == ErrorKind::BrokenPipe {
            return Failure::new(Exit::Done, "");
        }
        Failure::new(Exit::Failed, format!("cannot write to standard output: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_wrote_does_nothing_to_a_terminal() {
        assert_eq!(clean("Größe 5 🐑"), "Größe 5 🐑");
        let hostile = cell(Some(&json!("\u{1b}]0;title\u{7}\u{9b}31m\u{202e}gpj.exe\r\n")));
        assert_eq!(hostile, "\\u{1b}]0;title\\u{7}\\u{9b}31m\\u{202e}gpj.exe\\r\\n");
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let cells = ["é".to_owned(), "b".to_owned()];
        assert_eq!(aligned(&cells, &[3, 1], |word| format!("<{word}>")), "<é>    <b>");
    }
}
