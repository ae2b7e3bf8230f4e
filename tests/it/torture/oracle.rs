//! The judge. It knows what was sent and acknowledged, what arrived and was
//! confirmed, and what the API shows, and nothing of how the server works.
//! Pure, so that it can be shown to notice what it is there for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// The slowest rate at which a backlog may go down after a fault, in events a
/// second: far below what one machine does, since this is no benchmark.
const RATED: f64 = 100.0;

/// What a whole retry schedule takes.
const SCHEDULE: Duration = Duration::from_secs(131);

/// A change as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// Of the event that it owes, without the event's id.
    pub(crate) part: Hash,
    /// Whether its 200 arrived.
    pub(crate) acknowledged: bool,
}

/// One request that reached the receiver.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    /// When it was answered 2xx.
    pub(crate) confirmed: Option<Instant>,
    /// The change's number, if the body says one.
    pub(crate) key: Option<u64>,
    pub(crate) id: String,
    pub(crate) attempt: u32,
    pub(crate) sequence: i64,
    pub(crate) number: String,
    /// Of the body without the event's id.
    pub(crate) part: Hash,
    /// Whether the signature is the webhook's, and the id in the body the header's.
    pub(crate) genuine: bool,
}

/// A process ended, and nobody knows what it had recorded last.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) at: Instant,
    /// The events that may come again: those that were not answered yet, or not
    /// long ago.
    pub(crate) open: BTreeSet<String>,
    /// At most so many of them do.
    pub(crate) most: usize,
}

/// Everything that is known outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) sent: BTreeMap<u64, Sent>,
    /// In the order of arrival.
    pub(crate) arrivals: Vec<Arrival>,
    /// Changes whose delivery the API shows as exhausted.
    pub(crate) shown: BTreeSet<u64>,
    /// Changes that were replayed: these come out of order.
    pub(crate) replayed: BTreeSet<u64>,
    /// The ends of a process, in their order: these alone double anything.
    pub(crate) ends: Vec<End>,
    /// What was still to be delivered when all was healed, and how long it took.
    pub(crate) backlog: usize,
    pub(crate) drained: Duration,
}

/// What is wrong, a line each, led by its name in capitals.
pub(crate) fn judge(known: &Known) -> Vec<String> {
    let mut findings = Vec::new();
    let confirmed: BTreeSet<u64> = known
        .arrivals
        .iter()
        .filter(|arrival| arrival.confirmed.is_some())
        .filter_map(|one| one.key)
        .collect();
    for (key, _) in known.sent.iter().filter(|(_, sent)| sent.acknowledged) {
        if !confirmed.contains(key) && !known.shown.contains(key) {
            findings.push(format!("LOST: change {key} was acknowledged"));
        }
    }
    for arrival in &known.arrivals {
        let Arrival { id, attempt, .. } = arrival;
        match arrival.key.map(|key| known.sent.get(&key)) {
            None => findings.push(format!("CORRUPT: {id}, attempt {attempt}, is no event of ours")),
            Some(None) => findings.push(format!("PHANTOM: {id} was never sent")),
            Some(Some(sent)) if sent.part != arrival.part => {
                findings.push(format!("CORRUPT: {id}, attempt {attempt}, is not what was sent"));
            }
            Some(Some(_)) if !arrival.genuine => {
                findings.push(format!("CORRUPT: {id}, attempt {attempt}, is not signed as it should be"));
            }
            Some(Some(_)) => {}
        }
    }
    let (doubled, allowed) = (doubled(&known.arrivals), known.ends.iter().map(|end| end.most).sum());
    if doubled.len() > allowed {
        findings.push(format!("DUP: {} where {allowed} are allowed: {doubled:?}", doubled.len()));
    }
    let unexplained = doubled.iter().filter(|double| !known.ends.iter().any(|end| double.is_due_to(end)));
    findings.extend(unexplained.map(|double| format!("DUP: {double:?} was under way at no end")));
    findings.extend(split(&known.arrivals));
    let replayed = |arrival: &Arrival| arrival.key.is_some_and(|key| known.replayed.contains(&key));
    // What was given up, or comes again out of its turn, leaves a gap.
    let whole = known.shown.is_empty() && known.replayed.is_empty();
    findings.extend(disordered(known.arrivals.iter().filter(|arrival| !replayed(arrival)), whole));
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let allowed = SCHEDULE + Duration::from_secs_f64(2.0 * known.backlog as f64 / RATED);
    if known.drained > allowed {
        findings.push(format!("DRAIN: {:?} for {}, {allowed:?} are allowed", known.drained, known.backlog));
    }
    findings
}

/// An event that arrived although an arrival had been confirmed before.
#[derive(Debug)]
struct Double<'a> {
    id: &'a str,
    /// When that arrival came, and this one.
    from: Instant,
    until: Instant,
}

impl Double<'_> {
    /// Whether the process ended in between, and had the event under way.
    fn is_due_to(&self, end: &End) -> bool {
        self.from <= end.at + STRAGGLING && end.at <= self.until && end.open.contains(self.id)
    }
}

/// What a process sent before its end is read for so long afterwards.
pub(crate) const STRAGGLING: Duration = Duration::from_millis(30);

fn doubled(arrivals: &[Arrival]) -> Vec<Double<'_>> {
    let mut confirmed: BTreeMap<&str, (Instant, Instant)> = BTreeMap::new();
    let mut doubled = Vec::new();
    for Arrival { id, at, confirmed: answered, .. } in arrivals {
        if let Some((from, _)) = confirmed.get(id.as_str()).filter(|(_, answered)| answered < at) {
            doubled.push(Double { id, from: *from, until: *at });
        }
        if let Some(answered) = answered {
            confirmed.insert(id, (*at, *answered));
        }
    }
    doubled
}

/// Changes that became more than one event.
fn split(arrivals: &[Arrival]) -> Vec<String> {
    let mut ids: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for arrival in arrivals {
        if let Some(key) = arrival.key {
            ids.entry(key).or_default().insert(&arrival.id);
        }
    }
    let many = ids.into_iter().filter(|(_, ids)| ids.len() > 1);
    many.map(|(key, ids)| format!("SPLIT: change {key} is the events {ids:?}")).collect()
}

/// Per number: a later event, the next one if all are there, or a later attempt of
/// the same one.
fn disordered<'a>(arrivals: impl Iterator<Item = &'a Arrival>, whole: bool) -> Vec<String> {
    let mut last: BTreeMap<&str, (i64, u32)> = BTreeMap::new();
    let mut findings = Vec::new();
    for Arrival { number, sequence, attempt, .. } in arrivals {
        let now = (*sequence, *attempt);
        let before = last.insert(number, now).unwrap_or_default();
        if before >= now {
            findings.push(format!("ORDER: of {number}, {now:?} came after {before:?}"));
        }
        if whole && now.0 > before.0 + 1 {
            findings.push(format!("GAP: of {number}, {now:?} came after {before:?}"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(key: u64) -> Hash {
        [key.to_le_bytes()[0]; 32]
    }

    /// Three changes of one number, acknowledged and delivered.
    fn fine() -> Known {
        let sent = (1..=3).map(|key| (key, Sent { part: hash(key), acknowledged: true })).collect();
        let began = Instant::now();
        let arrivals = (1..=3).map(|key| {
            let at = began + Duration::from_millis(key);
            Arrival {
                at,
                confirmed: Some(at + Duration::from_micros(100)),
                key: Some(key),
                id: format!("event-{key}"),
                attempt: 1,
                sequence: key.cast_signed(),
                number: "15550001".into(),
                part: hash(key),
                genuine: true,
            }
        });
        Known { sent, arrivals: arrivals.collect(), ..Known::default() }
    }

    /// What the judge says of `fine` after `change`: the names of its findings.
    fn found(change: impl FnOnce(&mut Known)) -> Vec<String> {
        let mut known = fine();
        change(&mut known);
        judge(&known).iter().map(|finding| finding.split(':').next().unwrap().to_owned()).collect()
    }

    /// The second one arrives once more.
    fn again(known: &mut Known) {
        let second = known.arrivals[1].clone();
        let at = second.at + Duration::from_micros(500);
        known.arrivals.insert(2, Arrival { at, attempt: 2, ..second });
    }

    #[test]
    fn the_judge_finds_nothing_where_nothing_is_wrong() {
        assert_eq!(found(|_| {}), [""; 0]);
        assert_eq!(found(|known| known.sent.get_mut(&2).unwrap().acknowledged = false), [""; 0]);
    }

    #[test]
    fn the_judge_notices_a_lost_event() {
        let lose = |known: &mut Known| drop(known.arrivals.remove(1));
        assert_eq!(found(lose), ["LOST", "GAP"]);
        let refused = |known: &mut Known| known.arrivals[1].confirmed = None;
        assert_eq!(found(refused), ["LOST"], "an arrival that was not confirmed is no delivery");
        let visible = |known: &mut Known| {
            lose(known);
            known.shown.insert(2);
        };
        assert_eq!(found(visible), [""; 0], "what is shown as exhausted is not lost");
        let unanswered = |known: &mut Known| {
            lose(known);
            known.sent.get_mut(&2).unwrap().acknowledged = false;
        };
        assert_eq!(found(unanswered), ["GAP"], "what was numbered was stored");
        let gone = |known: &mut Known| {
            unanswered(known);
            known.arrivals[1].sequence = 2;
        };
        assert_eq!(found(gone), [""; 0], "what was never acknowledged may be gone");
    }

    #[test]
    fn the_judge_notices_a_doubled_event() {
        assert_eq!(found(again), ["DUP", "DUP"], "too many, and at no end");
        let ended = |open: &str, most: usize| {
            let open = BTreeSet::from([open.to_owned()]);
            move |known: &mut Known| {
                again(known);
                let at = known.arrivals[1].at + Duration::from_micros(200);
                known.ends.push(End { at, open, most });
            }
        };
        assert_eq!(found(ended("event-2", 1)), [""; 0]);
        assert_eq!(found(ended("event-2", 0)), ["DUP"], "more than may be");
        assert_eq!(found(ended("event-1", 1)), ["DUP"], "not this one");
        let before = |known: &mut Known| {
            ended("event-2", 1)(known);
            known.ends[0].at -= Duration::from_secs(1);
        };
        assert_eq!(found(before), ["DUP"], "what arrived after that end was no matter of it");
        let retried = |known: &mut Known| {
            again(known);
            known.arrivals[1].confirmed = None;
        };
        assert_eq!(found(retried), [""; 0], "what was refused may come again");
        let split = |known: &mut Known| {
            again(known);
            known.arrivals[2].id = "event-2b".into();
        };
        assert_eq!(found(split), ["SPLIT"], "one change is one event");
    }

    #[test]
    fn the_judge_notices_a_corrupted_an_unsigned_and_an_invented_event() {
        assert_eq!(found(|known| known.arrivals[1].part[5] ^= 1), ["CORRUPT"]);
        assert_eq!(found(|known| known.arrivals[1].genuine = false), ["CORRUPT"]);
        assert_eq!(found(|known| known.arrivals[1].key = None), ["LOST", "CORRUPT"]);
        assert_eq!(found(|known| known.sent.retain(|key, _| *key != 2)), ["PHANTOM"]);
    }

    #[test]
    fn the_judge_notices_disorder_and_a_backlog_that_stays() {
        assert_eq!(found(|known| known.arrivals.swap(1, 2)), ["GAP", "ORDER"]);
        assert_eq!(found(|known| known.drained = Duration::from_secs(132)), ["DRAIN"]);
        let much = |known: &mut Known| {
            known.drained = Duration::from_secs(132);
            known.backlog = 100;
        };
        assert_eq!(found(much), [""; 0]);
    }
}
