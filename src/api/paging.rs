//! Pages of a listing. A cursor is opaque to callers: a version, the listing
//! it belongs to and where the next page begins.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::errors::{Code, Problem};

const DEFAULT_LIMIT: u32 = 50;
const LARGEST_LIMIT: u32 = 500;
const VERSION: &str = "1";

/// How many items a page has.
pub(super) fn limit(given: Option<u32>) -> Result<usize, Problem> {
    let limit = given.unwrap_or(DEFAULT_LIMIT);
    if (1..=LARGEST_LIMIT).contains(&limit) {
        Ok(limit as usize)
    } else {
        Err(Problem::parameter("limit", format!("must be from 1 to {LARGEST_LIMIT}")))
    }
}

/// The cursor of a page of `listing` that begins at `place`.
pub(super) fn cursor(listing: &str, place: impl Display) -> String {
    URL_SAFE_NO_PAD.encode(format!("{VERSION}.{listing}.{place}"))
}

/// Where the page of a cursor of `listing` begins.
pub(super) fn place<T: FromStr>(listing: &str, cursor: Option<&str>) -> Result<Option<T>, Problem> {
    cursor.map(|text| read(listing, text).ok_or_else(refused)).transpose()
}

fn read<T: FromStr>(listing: &str, cursor: &str) -> Option<T> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (version, rest) = text.split_once('.')?;
    let (of, place) = rest.split_once('.')?;
    if version == VERSION && of == listing { place.parse().ok() } else { None }
}

fn refused() -> Problem {
    Problem::new(Code::InvalidCursor, "the cursor is not one of this listing")
        .hint("pass nextCursor of the page before, unchanged, or leave cursor out to begin anew")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place_in_its_listing_only() {
        let text = cursor("events", 42);
        assert_eq!(place::<i64>("events", Some(&text)).unwrap(), Some(42));
        assert_eq!(place::<i64>("events", None).unwrap(), None);
        let refused = place::<i64>("deliveries", Some(&text)).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidCursor);
    }

    #[test]
    fn a_page_has_1_to_500_items_and_50_unless_said() {
        assert_eq!(limit(None).unwrap(), 50);
        assert_eq!((limit(Some(1)).unwrap(), limit(Some(500)).unwrap()), (1, 500));
        assert!(limit(Some(0)).is_err() && limit(Some(501)).is_err());
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_never_a_panic(text in ".{0,40}") {
            prop_assert!(place::<i64>("events", Some(&text)).is_err());
        }
    }
}
