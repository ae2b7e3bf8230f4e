//! What follows when an attempt is interrupted: its lease ended and nobody said
//! what came of it, because the process, or the attempt, ended first.
//!
//! Such an attempt says nothing about the receiver, so it takes nothing from the
//! schedule. But a delivery that ends the process whenever it is attempted must
//! not do so for ever, nor take along what was merely under way beside it. So the
//! first interruptions are made up for at once; after those in a row that follow,
//! each delivery waits a time of its own, in a window that doubles. What was
//! interrupted together comes apart by that: whoever only stood beside is
//! delivered before or after the one that does the harm, and that one, still
//! interrupted each time, is set aside in the end so that its lane goes on.

use std::time::Duration;

use crate::model::id::DeliveryId;
use crate::model::time::Timestamp;

/// A delivery interrupted so often in a row is set aside: about two minutes of
/// waiting at the most.
pub const MOST_IN_A_ROW: u32 = 10;

/// Up to so many in a row, the next attempt is due at once.
const AT_ONCE: u32 = 2;

/// The first window in which the next attempt is due.
const FIRST_WINDOW: Duration = Duration::from_secs(1);

/// When a delivery is attempted again whose attempt, the `in_a_row`-th (1..) one
/// after another, turned out at `now` to be interrupted; `None`: no more, it is
/// set aside.
pub fn next_attempt(in_a_row: u32, delivery: DeliveryId, now: Timestamp) -> Option<Timestamp> {
    (in_a_row < MOST_IN_A_ROW).then(|| now.plus(wait(in_a_row, delivery)))
}

fn wait(in_a_row: u32, delivery: DeliveryId) -> Duration {
    let Some(doublings) = in_a_row.checked_sub(AT_ONCE + 1) else { return Duration::ZERO };
    let window = u64::try_from((FIRST_WINDOW * (1 << doublings)).as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(
        scatter(delivery.0.cast_unsigned().wrapping_add(u64::from(in_a_row) << 48)) % window,
    )
}

/// A number that shares nothing visible with those of its neighbours (the
/// finalizer of splitmix64), and is the same each time: no chance is needed.
fn scatter(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(in_a_row: u32, position: i64) -> Option<Timestamp> {
        next_attempt(in_a_row, DeliveryId::new(position, 0), Timestamp::from_ms(1_000))
    }

    fn wait_ms(in_a_row: u32, position: i64) -> u64 {
        let wait = next(in_a_row, position).unwrap().since(Timestamp::from_ms(1_000));
        u64::try_from(wait.as_millis()).unwrap()
    }

    #[test]
    fn the_first_interruptions_are_made_up_for_at_once_and_the_tenth_in_a_row_is_the_last() {
        for position in 1..1_000 {
            assert_eq!((wait_ms(1, position), wait_ms(2, position)), (0, 0));
            assert_eq!((next(MOST_IN_A_ROW, position), next(u32::MAX, position)), (None, None));
        }
    }

    #[test]
    fn in_between_each_waits_a_time_of_its_own_in_a_window_that_doubles() {
        for (in_a_row, window) in (3..MOST_IN_A_ROW).zip((0..).map(|doublings| 1_000 << doublings)) {
            let waits: Vec<u64> = (1..=1_000).map(|position| wait_ms(in_a_row, position)).collect();
            assert!(waits.iter().all(|wait| *wait < window), "{in_a_row}");
            // Spread out: every tenth of the window has about a tenth of them.
            for tenth in 0..10 {
                let here = waits.iter().filter(|wait| *wait * 10 / window == tenth).count();
                assert!((50..=150).contains(&here), "{here} in tenth {tenth} after {in_a_row}");
            }
        }
    }

    #[test]
    fn two_that_were_interrupted_together_do_not_stay_together() {
        for position in 1..100 {
            let apart = (3..MOST_IN_A_ROW).filter(|in_a_row| {
                wait_ms(*in_a_row, position).abs_diff(wait_ms(*in_a_row, position + 1)) > 100
            });
            assert!(apart.count() >= 3, "{position}");
        }
    }
}
