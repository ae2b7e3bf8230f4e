//! Which seeds are played. `SIM_SEEDS` and `SIM_FIRST` ask for others, of every
//! simulation its share; those that once failed are kept and played before all.

use super::oracle::Verdict;

/// Seeds of past failures.
const KEPT: &str = include_str!("seeds.txt");

/// How many of the first simulation `./test` plays. Where one run takes longer there
/// are fewer, and of those that are asked for as few in proportion.
pub(super) const SEEDS: u64 = 200;

/// Plays the seeds of the simulation `name`, `usual` of them if nobody asks for
/// more, on two threads; all that failed are named, with how to repeat them.
pub(super) fn none_fails(name: &str, usual: u64, run: fn(u64) -> Verdict) {
    let first = asked("SIM_FIRST").unwrap_or(1);
    let seeds = asked("SIM_SEEDS").map_or(usual, |seeds| (seeds * usual / SEEDS).max(1));
    let all: Vec<u64> = kept(name).into_iter().chain(first..first + seeds).collect();
    let half = |odd: usize| all.iter().skip(odd).step_by(2).copied().collect::<Vec<u64>>();
    let (mine, others) = (half(0), half(1));
    let failed = |seeds: Vec<u64>| seeds.into_iter().filter_map(|seed| failure(seed, run)).collect();
    let failed: Vec<String> = std::thread::scope(|threads| {
        let other = threads.spawn(move || -> Vec<String> { failed(others) });
        let mine: Vec<String> = failed(mine);
        mine.into_iter().chain(other.join().unwrap()).collect()
    });
    let (runs, failures) = (all.len(), failed.len());
    assert!(
        failed.is_empty(),
        "{failures} of {runs} runs of {name} failed:\n{}\n\
         hint: repeat one with ./sim --seeds 1 --first SEED",
        failed.join("\n")
    );
}

/// What was wrong in the run of this seed.
fn failure(seed: u64, run: fn(u64) -> Verdict) -> Option<String> {
    let ran = std::panic::catch_unwind(|| run(seed));
    let violation = ran.unwrap_or_else(|_| Err("a panic, see above".to_owned())).err()?;
    Some(format!("seed {seed}: {violation}"))
}

#[expect(clippy::disallowed_methods, reason = "how many seeds is asked for from outside")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Of lines like `latest 4711 what it found`, the seeds of this simulation.
fn kept(name: &str) -> Vec<u64> {
    let lines = KEPT.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let words = lines.map(|line| line.split_whitespace().take(2).collect::<Vec<_>>());
    words.filter(|words| words[0] == name).map(|words| words[1].parse().unwrap()).collect()
}

#[test]
fn seeds_of_past_failures_are_kept_by_simulation() {
    assert_eq!(kept("chaos"), [203, 215, 235]);
    assert_eq!(kept("nowhere"), Vec::<u64>::new());
}
