//! Host names: which are refused before anything resolves them.
//!
//! A refused name could only be a name of the operator's own network: one
//! without a dot, or under a suffix that the public tree does not have.

use super::Refusal;

/// Suffixes that are not in the public tree (RFC 6761, 6762, 7686, 8375, and
/// the usual ones of private networks and of clouds' metadata services).
const PRIVATE: [&str; 9] =
    ["local", "internal", "localhost", "localdomain", "lan", "home.arpa", "test", "invalid", "onion"];

/// The canonical form of a host name as the URL parser understood it (lower
/// case, punycode): without the trailing dot that would make two names of one.
pub(super) fn canonical(name: &str) -> Result<String, Refusal> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(Refusal::Name);
    }
    if is_loopback(name) {
        return Ok(name.to_owned());
    }
    let public = name.contains('.') && !PRIVATE.iter().any(|suffix| is_under(name, suffix));
    if public { Ok(name.to_owned()) } else { Err(Refusal::Name) }
}

/// Whether the name means this machine by definition (RFC 6761).
pub(super) fn is_loopback(name: &str) -> bool {
    is_under(name, "localhost")
}

/// Whether `name` is `suffix` or a name under it.
pub(super) fn is_under(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Letters, digits, hyphens, and the underscore that some hosts have.
fn is_label(label: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(known)
}
