//! The deserialiser's words made plain: callers write JSON, and need not know
//! what a map or a `u32` is in Rust.

/// What is wrong with a body: `[0].url: must be a string, found integer 5 at
/// line 1 column 9`. What is not known here stays as it is.
pub(super) fn body(raw: &str) -> String {
    let (path, reason) = split(raw);
    let reason = mismatch(reason).unwrap_or_else(|| match reason.strip_prefix("EOF while parsing ") {
        Some(rest) => format!("the body ends within {rest}"),
        None => reason.to_owned(),
    });
    if path.is_empty() { reason } else { format!("{path}: {reason}") }
}

/// What is wrong with a body that has another kind of value where a word is
/// expected: `superseded: must be one of the words that the description lists`.
pub(super) fn word(raw: &str) -> String {
    raw.replace("expected value at ", "must be one of the words that the description lists, in quotes, at ")
}

/// What is wrong with a query: `limit must be a whole number`.
pub(super) fn query(raw: &str) -> String {
    let (name, reason) = split(raw);
    if reason.starts_with("unknown field ") {
        return reason.replace("unknown field", "unknown parameter");
    }
    let rule = mismatch(reason).unwrap_or_else(|| match reason {
        "invalid digit found in string"
        | "cannot parse integer from empty string"
        | "number too large to fit in target type"
        | "number too small to fit in target type" => "must be a whole number".to_owned(),
        "provided string was not `true` or `false`" => "must be true or false".to_owned(),
        _ => reason.to_owned(),
    });
    if name.is_empty() { rule } else { format!("{name} {rule}") }
}

/// Where, and what. A path has no blanks; a reason that begins with `invalid
/// type:` has one before its colon.
fn split(raw: &str) -> (&str, &str) {
    match raw.split_once(": ") {
        Some((path, reason)) if !path.contains(' ') => (path, reason),
        _ => ("", raw),
    }
}

/// A value that is not what it must be.
fn mismatch(reason: &str) -> Option<String> {
    let (reason, at) = match reason.rfind(" at line ") {
        Some(at) => reason.split_at(at),
        None => (reason, ""),
    };
    if let Some(rest) = reason.strip_prefix("unknown variant ") {
        let (found, expected) = rest.rsplit_once(", expected ")?;
        return Some(format!("must be {expected}, found {found}{at}"));
    }
    // A struct may be read from a list of its fields' values, which is no body
    // that anyone means: what is found is always a list here.
    if reason.starts_with("invalid length ") && reason.contains(", expected struct ") {
        return Some(format!("must be a JSON object, found an array{at}"));
    }
    let rest = reason.strip_prefix("invalid type: ").or_else(|| reason.strip_prefix("invalid value: "))?;
    // The last one: what was found is the caller's, and may say anything.
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let expected = match expected {
        "a sequence" => "a JSON array",
        "a boolean" => "true or false",
        "u16" | "u32" | "u64" | "i64" | "usize" => "a whole number",
        "string or map" => "one of the words that the description lists",
        expected if expected.starts_with("struct ") => "a JSON object",
        expected => expected,
    };
    let found = match found {
        "map" => "an object",
        "sequence" => "an array",
        found => found,
    };
    Some(format!("must be {expected}, found {found}{at}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_says_what_must_be_and_what_was_found() {
        for (raw, told) in [
            (
                "[3].url: invalid type: integer `5`, expected a string at line 1 column 9",
                "[3].url: must be a string, found integer `5` at line 1 column 9",
            ),
            (
                "invalid type: map, expected a sequence at line 1 column 0",
                "must be a JSON array, found an object at line 1 column 0",
            ),
            (
                "name: invalid type: string \"x, expected u32\", expected a boolean",
                "name: must be true or false, found string \"x, expected u32\"",
            ),
            (
                "type: unknown variant `SMS`, expected one of `CADR`, `MSG` at line 1 column 4",
                "type: must be one of `CADR`, `MSG`, found `SMS` at line 1 column 4",
            ),
            ("EOF while parsing a list at line 1 column 1", "the body ends within a list at line 1 column 1"),
            ("missing field `url` at line 1 column 2", "missing field `url` at line 1 column 2"),
        ] {
            assert_eq!(body(raw), told, "{raw}");
        }
    }

    #[test]
    fn a_query_parameter_is_named_with_its_rule() {
        for (raw, told) in [
            ("limit: invalid digit found in string", "limit must be a whole number"),
            (
                "status: unknown variant `lost`, expected `a` or `b`",
                "status must be `a` or `b`, found `lost`",
            ),
            ("x: unknown field `x`, expected `limit`", "unknown parameter `x`, expected `limit`"),
        ] {
            assert_eq!(query(raw), told, "{raw}");
        }
    }
}
