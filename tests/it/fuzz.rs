//! Fuzzing: input that nobody would think of, for everything that reads what
//! others write. A target says what must hold of any input; inputs are those of
//! its corpus (`tests/corpus/NAME`) and what a seeded mutator makes of them. An
//! input that shows something new joins those that are mutated.
//!
//! Within `./test` each target gets a fixed seed and number of rounds, so that
//! every run is the same and takes seconds. `./fuzz` gives them hours and a
//! seed of its own. An input that fails is written to `target/fuzz`; mended, it
//! joins the corpus and so stays a test.
//!
//! Targets that need no server are functions of bytes (`targets`), which a
//! fuzzer that watches the program's branches can drive, too (`tests/guided`).

mod mutator;
mod server;
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bellwether::env::Entropy;

use mutator::Mutator;

/// So many inputs that showed something new are kept to be mutated.
const MOST_KEPT: usize = 2_000;

/// So many times the rounds are asked for by `./test --long`.
const LONG_TIMES: usize = 50;

/// No input is longer.
const LONGEST: usize = 16 * 1024;

/// The inputs of one target, one after another. If the test ends in a panic,
/// the last one was the reason and is kept in a file.
pub(crate) struct Inputs {
    target: &'static str,
    seed: u64,
    /// Those of the corpus that are still to come, as they are.
    untouched: Vec<Vec<u8>>,
    kept: Vec<Vec<u8>>,
    seen: BTreeSet<String>,
    mutator: Mutator,
    until: Until,
    given: usize,
    last: Vec<u8>,
}

enum Until {
    Rounds(usize),
    Instant(Instant),
}

impl Inputs {
    /// The inputs of `target`; those of `more` directories join its corpus. By
    /// default there are `rounds` made-up ones.
    pub(crate) fn of(target: &'static str, more: &[&str], words: &[&str], rounds: usize) -> Self {
        let mut corpus = read(&root().join("tests/corpus").join(target));
        assert!(!corpus.is_empty(), "{target} has a corpus");
        corpus.extend(more.iter().flat_map(|place| read(&root().join(place))));
        corpus.retain(|input| input.len() <= LONGEST);
        let seed = number("FUZZ_SEED").unwrap_or(1);
        let times = if std::env::var_os("BELLWETHER_LONG").is_some() { LONG_TIMES } else { 1 };
        let until = number("FUZZ_SECONDS").map_or(Until::Rounds(rounds * times), |seconds| {
            Until::Instant(now() + Duration::from_secs(seconds))
        });
        Self {
            target,
            seed,
            kept: corpus.clone(),
            untouched: corpus,
            seen: BTreeSet::new(),
            mutator: Mutator::new(Entropy::seeded(seed), words),
            until,
            given: 0,
            last: Vec::new(),
        }
    }

    /// The next input; `None` once it is enough.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        let enough = match self.until {
            Until::Rounds(rounds) => self.untouched.is_empty() && self.given >= rounds,
            Until::Instant(until) => now() >= until,
        };
        if enough {
            return None;
        }
        self.given += 1;
        self.last = match self.untouched.pop() {
            Some(input) => input,
            None => self.mutator.mutated(&self.kept, LONGEST),
        };
        Some(self.last.clone())
    }

    /// What came of the last input: one that shows something new is kept.
    pub(crate) fn showed(&mut self, what: String) {
        if self.kept.len() < MOST_KEPT && self.seen.insert(what) {
            self.kept.push(self.last.clone());
        }
    }

    /// Gives a function of bytes every input.
    fn all(mut self, target: fn(&[u8]) -> String) {
        while let Some(input) = self.next() {
            let what = target(&input);
            self.showed(what);
        }
    }
}

impl Drop for Inputs {
    #[expect(clippy::print_stdout, reason = "a test's own output: what ran, and how to repeat what failed")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            println!(
                "{}: {} inputs, {} outcomes, seed {}",
                self.target,
                self.given,
                self.seen.len(),
                self.seed
            );
            return;
        }
        let directory = root().join("target/fuzz").join(self.target);
        let file = directory.join(format!("{}-{}", self.seed, self.given));
        let written = fs::create_dir_all(&directory).and_then(|()| fs::write(&file, &self.last));
        println!(
            "{}: input {} of seed {} fails: {:?}\n{}: {written:?}; hint: mend it, then move this file to tests/corpus/{}",
            self.target,
            self.given,
            self.seed,
            String::from_utf8_lossy(&self.last),
            file.display(),
            self.target,
        );
    }
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var_os(name)?.into_string().ok();
    Some(text.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name} must be a number")))
}

#[expect(clippy::disallowed_methods, reason = "how long it runs is real time, also where time is paused")]
fn now() -> Instant {
    Instant::now()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a directory, in the order of their names.
fn read(directory: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn fuzz_signature_only_what_the_secret_signed_is_accepted() {
    let words = ["sha256=", "sha1=", "whsec_", "=", "\n", "0123456789abcdef"];
    Inputs::of("signature", &[], &words, 6_000).all(targets::signature);
}

#[test]
fn fuzz_notification_whatever_is_posted_is_kept_or_counted_and_reads_the_same_again() {
    let words = [
        "\"entry\":[",
        "\"changes\":[",
        "\"field\":",
        "\"value\":",
        "\"id\":\"0\"",
        "\"time\":",
        "null",
        "1e400",
        "\\ud800",
        "\"whatsapp_business_account\"",
        "\"phone_number_quality_update\"",
        "\"account_update\"",
        "\"waba_info\"",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"message_template_status_update\"",
        "\"messages\"",
        "-1",
        "\u{0}",
        "\"\\u0000\"",
        "\"display_phone_number\":",
    ];
    Inputs::of("notification", &["tests/samples", "tests/samples/json"], &words, 6_000)
        .all(targets::notification);
}

#[test]
fn fuzz_graph_answer_it_is_a_page_or_told_to_be_none() {
    let words = [
        "{\"data\":[",
        "{\"error\":{",
        "\"paging\":{",
        "\"next\":\"https://a/?after=b\"",
        "\"cursors\":{\"after\":\"b\"}",
        "\"display_phone_number\":",
        "\"throughput\":{\"level\":\"HIGH\"}",
        "\"code\":190",
        "\"error_subcode\":463",
        "\"is_transient\":true",
        "\"estimated_time_to_regain_access\":1e99",
        "null",
        "[]",
        "{}",
        "\\ud800",
        "\"1555\"",
        "400\n",
        "[[[[[[[[",
    ];
    Inputs::of("graph-answer", &[], &words, 6_000).all(targets::graph_answer);
}

#[test]
fn fuzz_url_what_is_judged_good_is_public_and_judged_the_same_again() {
    let words = [
        "http://",
        "https://",
        "127.0.0.1",
        "0x7f",
        "[::1]",
        "[::ffff:",
        "localhost",
        ".internal",
        "@",
        ":",
        "#",
        "?",
        "\\",
        "%2e",
        "\u{ff0e}",
        "xn--",
        ".",
        "..",
        "169.254.169.254",
        "2130706433",
        "\t",
        ":65536",
        ":0",
    ];
    Inputs::of("url", &[], &words, 20_000).all(targets::url);
}

#[test]
fn fuzz_configuration_file_it_is_taken_whole_or_refused_with_reasons() {
    let words = [
        "[server]\n",
        "[delivery]\n",
        "[meta.apps.x]\n",
        "listen = ",
        "= \"\"",
        "= []",
        "= {}",
        "= -1",
        "= 1e9",
        "true",
        "\"\"\"",
        "'",
        "\nBELLWETHER_",
        "__",
        "sqlite:",
        "allow_networks = [\"::/0\"]",
        "\n---\n",
        "18446744073709551616",
        "= 1979-05-27",
        "app_secret = 'x'\n",
    ];
    Inputs::of("configuration-file", &[], &words, 3_000).all(targets::configuration_file);
}
