//! Faults on demand, for tests that kill the real program: read from
//! `BELLWETHER_FAILPOINT` in debug builds, unknown in release ones.
//!
//! `after_commit=exit:3,after_answer=error`: the process ends at the third
//! commit, and recording fails at every answer.

use std::sync::atomic::{AtomicU64, Ordering};

use super::problem::Problem;
use crate::env::{Fault, Faults, Point};

/// The variable's name.
pub(super) const VARIABLE: &str = "BELLWETHER_FAILPOINT";

/// The exit code of a process that ended at a failpoint.
pub const EXIT_CODE: i32 = 87;

struct Rule {
    point: Point,
    exits: bool,
    /// At which time only; `None`: at each.
    nth: Option<u64>,
    met: AtomicU64,
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let (point, action) = text.trim().split_once('=')?;
        let point = match point {
            "before_commit" => Point::BeforeCommit,
            "after_commit" => Point::AfterCommit,
            "after_answer" => Point::AfterAnswer,
            "before_settle" => Point::BeforeSettle,
            _ => return None,
        };
        let (action, nth) = match action.split_once(':') {
            Some((action, nth)) => (action, Some(nth.parse().ok().filter(|nth| *nth > 0)?)),
            None => (action, None),
        };
        let exits = match action {
            "exit" => true,
            "error" => false,
            _ => return None,
        };
        Some(Self { point, exits, nth, met: AtomicU64::new(0) })
    }

    /// Whether the rule applies to this visit of `point`.
    fn applies(&self, point: Point) -> bool {
        if point != self.point {
            return false;
        }
        let time = self.met.fetch_add(1, Ordering::Relaxed) + 1;
        self.nth.is_none_or(|nth| nth == time)
    }
}

/// The faults that `text` plans.
pub(super) fn parse(text: &str) -> Result<Faults, Problem> {
    let rules: Option<Vec<Rule>> = text.split(',').map(Rule::parse).collect();
    let rules = rules.ok_or_else(|| {
        Problem::new(
            format!("{VARIABLE} is not a list of faults"),
            "write POINT=ACTION[:N], POINT one of before_commit, after_commit, after_answer, before_settle, ACTION exit or error",
        )
    })?;
    Ok(Faults::planned(move |point| {
        // Every rule counts every visit, also behind one that applies.
        let applying: Vec<&Rule> = rules.iter().filter(|rule| rule.applies(point)).collect();
        if applying.iter().any(|rule| rule.exits) {
            // Not `abort`, which leaves no code to tell this end by. Nothing of
            // ours runs any more: no destructor, no flush, no further commit
            // by this thread, which is the one at the point.
            std::process::exit(EXIT_CODE);
        }
        applying.first().map(|_| Fault::Error)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_at_its_point_and_at_its_time_only() {
        let faults = parse("after_commit=error:3, before_settle=error").unwrap();
        let after: Vec<_> = (0..5).map(|_| faults.at(Point::AfterCommit).is_some()).collect();
        assert_eq!(after, [false, false, true, false, false]);
        assert!(faults.at(Point::BeforeSettle).is_some() && faults.at(Point::BeforeSettle).is_some());
        assert!(faults.at(Point::AfterAnswer).is_none());
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        for bad in [
            "",
            "exit",
            "after_lunch=exit",
            "after_commit=explode",
            "after_commit=exit:0",
            "after_commit=exit:",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
