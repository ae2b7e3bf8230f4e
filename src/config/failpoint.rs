//! Faults on demand, for tests that kill the real program: read from
//! `BELLWETHER_FAILPOINT` in debug builds, unknown in release ones.
//!
//! `after_commit=exit:3,after_answer=error`: the process ends at the third
//! commit, and recording fails at every answer. A bare word such as
//! `no_fencing` takes a mechanism away, so that a test can show that it
//! notices; `log_frames=50` and `query_ms=100` narrow a limit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::problem::Problem;
use crate::env::{Fault, Faults, Narrowed, Point, Weakness};

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

/// The word that takes a mechanism away.
fn word(weakness: Weakness) -> &'static str {
    match weakness {
        Weakness::SynchronousNormal => "synchronous_normal",
        Weakness::NoDeduplication => "no_deduplication",
        Weakness::ResolveTwice => "resolve_twice",
        Weakness::RecordBeforeSending => "record_before_sending",
        Weakness::NoFencing => "no_fencing",
        Weakness::DispatcherDies => "dispatcher_dies",
        Weakness::SupersedeBlindly => "supersede_blindly",
        Weakness::ExhaustedForAll => "exhausted_for_all",
        Weakness::AnswerBeforeCommit => "answer_before_commit",
    }
}

/// The faults that `text` plans.
pub(super) fn parse(text: &str) -> Result<Faults, Problem> {
    let (mut rules, mut weaknesses, mut narrowed) = (Vec::new(), Vec::new(), Narrowed::default());
    for part in text.split(',') {
        if narrow(&mut narrowed, part.trim()) {
            continue;
        }
        match Weakness::ALL.into_iter().find(|weakness| word(*weakness) == part.trim()) {
            Some(weakness) => weaknesses.push(weakness),
            None => rules.push(Rule::parse(part).ok_or_else(no_plan)?),
        }
    }
    Ok(weaknesses.into_iter().fold(planned(rules), Faults::weakened).narrowed(narrowed))
}

/// Narrows the limit that `part` names; whether it names one.
fn narrow(narrowed: &mut Narrowed, part: &str) -> bool {
    let Some((name, limit)) = part.split_once('=').and_then(|(name, text)| Some((name, text.parse().ok()?)))
    else {
        return false;
    };
    match name {
        "log_frames" => narrowed.log_frames = Some(limit),
        "query_ms" => narrowed.query = Some(Duration::from_millis(limit)),
        _ => return false,
    }
    true
}

fn no_plan() -> Problem {
    let words = Weakness::ALL.map(word).join(", ");
    Problem::new(
        format!("{VARIABLE} is not a list of faults"),
        format!(
            "write POINT=ACTION[:N], POINT one of before_commit, after_commit, after_answer, before_settle, ACTION exit or error; or log_frames=N or query_ms=N; or one of {words}"
        ),
    )
}

fn planned(rules: Vec<Rule>) -> Faults {
    Faults::planned(move |point| {
        // Every rule counts every visit, also behind one that applies.
        let applying: Vec<&Rule> = rules.iter().filter(|rule| rule.applies(point)).collect();
        if applying.iter().any(|rule| rule.exits) {
            // Not `abort`, which leaves no code to tell this end by. Nothing of
            // ours runs any more: no destructor, no flush, no further commit
            // by this thread, which is the one at the point.
            std::process::exit(EXIT_CODE);
        }
        applying.first().map(|_| Fault::Error)
    })
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
    fn a_bare_word_takes_a_mechanism_away_and_nothing_else() {
        for weakness in Weakness::ALL {
            let faults = parse(&format!("after_commit=error, {}", word(weakness))).unwrap();
            let taken: Vec<_> = Weakness::ALL.into_iter().filter(|other| faults.weakens(*other)).collect();
            assert_eq!(taken, [weakness]);
            assert!(faults.at(Point::AfterCommit).is_some());
        }
    }

    #[test]
    fn a_limit_is_narrowed_by_its_name() {
        let faults = parse("log_frames=50, no_fencing, query_ms=100").unwrap();
        let narrowed = Narrowed { log_frames: Some(50), query: Some(Duration::from_millis(100)) };
        assert_eq!(faults.limits(), narrowed);
        assert!(faults.weakens(Weakness::NoFencing));
        assert_eq!(parse("no_fencing").unwrap().limits(), Narrowed::default());
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        for bad in [
            "",
            "exit",
            "after_lunch=exit",
            "no_lunch",
            "no_fencing=exit",
            "after_commit=explode",
            "after_commit=exit:0",
            "after_commit=exit:",
            "log_frames=few",
            "query_ms",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
