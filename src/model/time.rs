//! Instants as the wire wants them and the store keeps them.

use std::fmt;
use std::time::Duration;

/// An instant in milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// 9999-12-31T23:59:59.999Z, the last instant that four year digits can show.
const LAST_MS: i64 = 253_402_300_799_999;

impl Timestamp {
    /// From milliseconds since the epoch, cut to the years 1970 to 9999.
    pub fn from_ms(ms: i64) -> Self {
        Self(ms.clamp(0, LAST_MS))
    }

    /// From seconds since the epoch; `None` outside the years 1970 to 9999.
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        let ms = seconds.checked_mul(1000)?;
        (0..=LAST_MS).contains(&ms).then_some(Self(ms))
    }

    /// From RFC 3339 with any offset: `2025-01-01T00:00:00.00Z`.
    pub fn parse(text: &str) -> Option<Self> {
        let ms = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
        (0..=LAST_MS).contains(&ms).then_some(Self(ms))
    }

    /// Milliseconds since the epoch.
    pub fn ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The second that this instant is in.
    #[must_use]
    pub fn whole_seconds(self) -> Self {
        Self(self.seconds() * 1000)
    }

    /// This instant and `span` more.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let ms = i64::try_from(span.as_millis()).unwrap_or(LAST_MS);
        Self::from_ms(self.0.saturating_add(ms))
    }

    /// This instant less `span`.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let ms = i64::try_from(span.as_millis()).unwrap_or(LAST_MS);
        Self::from_ms(self.0.saturating_sub(ms))
    }

    /// The span from `earlier` to this instant, zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

/// ISO 8601 UTC with two fraction digits, as the seed writes it: `2025-01-01T00:00:00.00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not by way of `jiff::Timestamp`: it ends a day early, room for offsets.
        let since_epoch = jiff::SignedDuration::from_millis(self.0);
        let t =
            jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0).checked_add(since_epoch).map_err(|_| fmt::Error)?;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:02}Z",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.millisecond() / 10
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_with_two_fraction_digits_and_z() {
        let t = Timestamp::from_ms(1_735_689_600_000);
        assert_eq!(t.to_string(), "2025-01-01T00:00:00.00Z");
        assert_eq!(t.plus(Duration::from_millis(129)).to_string(), "2025-01-01T00:00:00.12Z");
    }

    #[test]
    fn an_instant_survives_being_written_and_read() {
        let t = Timestamp::parse("2025-06-01T02:00:00.5+02:00").unwrap();
        assert_eq!(t.to_string(), "2025-06-01T00:00:00.50Z");
        assert_eq!(Timestamp::parse(&t.to_string()), Some(t));
    }

    #[test]
    fn an_instant_out_of_range_is_none_and_never_a_panic() {
        assert_eq!(Timestamp::from_seconds(i64::MAX), None);
        assert_eq!(Timestamp::from_seconds(-1), None);
        assert_eq!(Timestamp::parse("tomorrow"), None);
        assert_eq!(Timestamp::from_ms(i64::MAX).to_string(), "9999-12-31T23:59:59.99Z");
    }
}
