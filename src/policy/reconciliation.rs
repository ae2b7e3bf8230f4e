//! When to ask the source of truth again.
//!
//! Meta's wishes come first: for as long as it asks not to be asked, nobody is.
//! Otherwise a reading that came about is followed by the next after the
//! configured span, and one that failed by the next soon, then less and less
//! soon, but no later than that span. What only a person can end is not tried
//! sooner than usual. All waits are lengthened by up to a tenth, by chance, so
//! that what began together comes apart.

use std::time::Duration;

use crate::model::reconciliation::Trouble;
use crate::model::time::Timestamp;

/// From this share of what Meta allows on, in per cent, nothing more is asked
/// for [`COOLING`]: the limit is not only this program's.
pub const BACK_OFF_AT: u64 = 90;

/// What is allowed is counted over an hour: after this long a quarter is free again.
pub const COOLING: Duration = Duration::from_mins(15);

/// Nothing is put off for longer because Meta said so.
pub const LONGEST_HOLD: Duration = Duration::from_hours(24);

/// After the first failure; each further one has four times that.
const FIRST_WAIT: Duration = Duration::from_mins(1);

/// The wait until the next reading.
///
/// `failed`: what went wrong, unless nothing did. `failures`: how many have
/// failed in a row, this one included. `hold`: for how long Meta wants none.
/// `chance`: 64 random bits.
pub fn wait(
    every: Duration,
    failed: Option<Trouble>,
    failures: u32,
    hold: Option<Duration>,
    chance: u64,
) -> Duration {
    let usual = match failed {
        Some(trouble) if !trouble.needs_a_person() => growing(FIRST_WAIT, failures).min(every),
        Some(_) | None => every,
    };
    let usual = jittered(usual, chance);
    hold.map_or(usual, |hold| usual.max(jittered(hold.min(LONGEST_HOLD), chance)))
}

/// For how long nothing is asked after Meta refused as too much, if it does not
/// say: a quarter of an hour at first, then longer.
pub fn untold_hold(failures: u32) -> Duration {
    growing(COOLING, failures).min(LONGEST_HOLD)
}

/// Beyond this a stored instant was reckoned by a clock that was ahead, or with
/// another configuration: it is due now.
pub fn horizon(every: Duration, now: Timestamp) -> Timestamp {
    let longest = every.max(LONGEST_HOLD);
    now.plus(longest + longest / 10)
}

fn growing(first: Duration, failures: u32) -> Duration {
    const MOST_STEPS: u32 = 10;
    first * 4_u32.pow(failures.saturating_sub(1).min(MOST_STEPS))
}

/// `span` and up to a tenth of it.
fn jittered(span: Duration, chance: u64) -> Duration {
    const PARTS: u32 = 1_000;
    let part = u32::try_from(chance % (u64::from(PARTS) + 1)).unwrap_or(0);
    span + span / 10 / PARTS * part
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVERY: Duration = Duration::from_hours(6);

    #[test]
    fn failures_are_followed_sooner_than_successes_and_then_less_and_less_soon() {
        let waits: Vec<_> =
            (1..=6).map(|n| wait(EVERY, Some(Trouble::Unreachable), n, None, 0).as_secs() / 60).collect();
        assert_eq!(waits, [1, 4, 16, 64, 256, 360]);
        assert_eq!(wait(EVERY, None, 0, None, 0), EVERY);
        assert_eq!(wait(EVERY, Some(Trouble::TokenExpired), 1, None, 0), EVERY, "only a person ends it");
        assert_eq!(untold_hold(1), Duration::from_mins(15));
        assert_eq!(untold_hold(2), Duration::from_hours(1));
        assert_eq!(untold_hold(40), LONGEST_HOLD);
    }

    proptest! {
        #[test]
        fn meta_is_never_asked_sooner_than_it_asks_for_and_never_put_off_beyond_the_horizon(
            every_s in 60_u64..3_000_000, failures in 0_u32..200, hold_s in 0_u64..10_000_000, chance in any::<u64>(),
            at in 0_usize..Trouble::ALL.len() + 1,
        ) {
            let (every, hold) = (Duration::from_secs(every_s), Duration::from_secs(hold_s));
            let failed = Trouble::ALL.get(at).copied();
            let wait = wait(every, failed, failures, Some(hold), chance);
            prop_assert!(wait >= hold.min(LONGEST_HOLD));
            prop_assert!(wait >= FIRST_WAIT.min(every));
            let now = Timestamp::from_ms(1_748_736_000_000);
            prop_assert!(now.plus(wait) <= horizon(every, now));
        }
    }
}
