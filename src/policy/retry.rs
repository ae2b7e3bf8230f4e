//! When to try again, and when to stop (the seed's schedule, contract.md 5.6).

use std::time::Duration;

use crate::model::attempt::{Outcome, OutcomeClass};
use crate::model::time::Timestamp;

/// `Retry-After` may lengthen a wait up to this.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(15);

/// The waits between attempts: one attempt more than waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Vec<Duration>);

impl Schedule {
    /// The seed's: 1, 10, 30 and 90 seconds.
    pub fn seed() -> Self {
        Self([1, 10, 30, 90].map(Duration::from_secs).to_vec())
    }

    /// These waits.
    pub fn new(waits: Vec<Duration>) -> Self {
        Self(waits)
    }

    /// The longest jitter that may be added to the wait after attempt
    /// `made`: 10 % of it.
    pub fn jitter(&self, made: u32) -> Duration {
        self.wait(made).unwrap_or(Duration::ZERO) / 10
    }

    fn wait(&self, made: u32) -> Option<Duration> {
        let at = usize::try_from(made.checked_sub(1)?).ok()?;
        self.0.get(at).copied()
    }
}

/// What follows from an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The event arrived.
    Delivered,
    /// Try again then.
    Retry(Timestamp),
    /// That was the last attempt of the schedule.
    Exhausted,
}

/// Judges the outcome of attempt number `made` (1..) of this round, which
/// ended at `ended`. `jitter` is added to the scheduled wait: at most
/// [`Schedule::jitter`].
pub fn judge(
    schedule: &Schedule,
    outcome: &Outcome,
    made: u32,
    ended: Timestamp,
    jitter: Duration,
) -> Verdict {
    if outcome.class == OutcomeClass::Success {
        return Verdict::Delivered;
    }
    let Some(wait) = schedule.wait(made) else {
        return Verdict::Exhausted;
    };
    let asked = retry_after(outcome, ended).unwrap_or(Duration::ZERO);
    Verdict::Retry(ended.plus(asked.min(LONGEST_RETRY_AFTER).max(wait + jitter.min(schedule.jitter(made)))))
}

/// The wait that a 429 or 503 asks for, in seconds or until a date.
fn retry_after(outcome: &Outcome, ended: Timestamp) -> Option<Duration> {
    if !matches!(outcome.status, Some(429 | 503)) {
        return None;
    }
    asked_wait(outcome.retry_after.as_deref()?, ended)
}

/// The wait that a `Retry-After` asks for, in seconds or until a date; `None` if
/// it says neither.
pub fn asked_wait(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // All digits but too many for the type: longer than any limit.
        return Some(Duration::from_secs(text.parse().unwrap_or(LONGEST_RETRY_AFTER.as_secs())));
    }
    http_date(text).map(|date| date.since(now))
}

/// An HTTP date in the one form that servers send: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let rest = rest.strip_suffix(" GMT")?;
    let mut parts = rest.split(' ');
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day}T{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(784_111_777_000 + ms)
    }

    fn asked(status: u16, retry_after: &str) -> Outcome {
        Outcome { retry_after: Some(retry_after.into()), ..Outcome::answered(status, Vec::new()) }
    }

    fn wait(outcome: &Outcome) -> i64 {
        let verdict = judge(&Schedule::seed(), outcome, 1, at(0), Duration::ZERO);
        let Verdict::Retry(then) = verdict else { panic!("expected a retry: {verdict:?}") };
        then.since(at(0)).as_secs().cast_signed()
    }

    #[test]
    fn the_seed_allows_five_attempts_with_1_10_30_and_90_seconds_between() {
        let failed = Outcome::answered(500, Vec::new());
        let verdicts: Vec<_> =
            (1..=5).map(|made| judge(&Schedule::seed(), &failed, made, at(0), Duration::ZERO)).collect();
        let retry = |s: i64| Verdict::Retry(at(s * 1000));
        assert_eq!(verdicts, [retry(1), retry(10), retry(30), retry(90), Verdict::Exhausted]);
    }

    #[test]
    fn only_200_to_299_succeeds() {
        for status in 100..600 {
            let verdict =
                judge(&Schedule::seed(), &Outcome::answered(status, vec![]), 1, at(0), Duration::ZERO);
            assert_eq!(verdict == Verdict::Delivered, (200..300).contains(&status), "{status}");
        }
    }

    #[test]
    fn retry_after_lengthens_a_wait_up_to_15_minutes_and_never_shortens_it() {
        assert_eq!(wait(&asked(429, "7")), 7);
        assert_eq!(wait(&asked(503, "0")), 1);
        assert_eq!(wait(&asked(503, "86400")), 900);
        assert_eq!(wait(&asked(503, "99999999999999999999999")), 900);
        assert_eq!(wait(&asked(503, "Sun, 06 Nov 1994 08:50:37 GMT")), 60);
        assert_eq!(wait(&asked(503, "Sun, 06 Nov 1994 08:00:00 GMT")), 1);
        for nonsense in ["-5", "NaN", "1.5", "", "soon", "Sun, 99 Nov 1994 08:50:37 GMT"] {
            assert_eq!(wait(&asked(503, nonsense)), 1, "{nonsense}");
        }
        assert_eq!(wait(&asked(500, "60")), 1, "only 429 and 503 may ask");
    }

    proptest! {
        #[test]
        fn a_wait_is_never_shorter_than_scheduled_nor_longer_than_the_limit(
            made in 1_u32..5, status in 300_u16..600, text in ".{0,40}", jitter_ms in 0_u64..100_000
        ) {
            let schedule = Schedule::seed();
            let verdict = judge(&schedule, &asked(status, &text), made, at(0), Duration::from_millis(jitter_ms));
            let Verdict::Retry(then) = verdict else { panic!("{verdict:?}") };
            let wait = schedule.wait(made).unwrap();
            prop_assert!(then >= at(0).plus(wait));
            prop_assert!(then <= at(0).plus(LONGEST_RETRY_AFTER.max(wait * 11 / 10)));
        }
    }
}
