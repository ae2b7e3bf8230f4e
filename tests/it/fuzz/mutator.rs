//! Inputs out of other inputs. Own code, for the libraries that work on the
//! stable toolchain change bytes without knowing the words of a format, and
//! most of what is read here is text.

use bellwether::env::Entropy;

/// Numbers at which something may tip over.
const EDGES: [&str; 12] = [
    "0",
    "-1",
    "1",
    "127",
    "255",
    "65535",
    "65536",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
];

/// Makes inputs of others.
pub(super) struct Mutator {
    entropy: Entropy,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// `words`: pieces of the format, to be put anywhere.
    pub(super) fn new(entropy: Entropy, words: &[&str]) -> Self {
        Self { entropy, words: words.iter().map(|word| word.as_bytes().to_vec()).collect() }
    }

    /// One of `kept`, changed in a few places; at most `longest` bytes.
    pub(super) fn mutated(&self, kept: &[Vec<u8>], longest: usize) -> Vec<u8> {
        let mut input = self.one(kept).to_vec();
        // Often a single change, sometimes many.
        for _ in 0..=self.below(self.below(8) + 1) {
            self.change(&mut input, kept);
        }
        input.truncate(longest);
        input
    }

    fn change(&self, input: &mut Vec<u8>, kept: &[Vec<u8>]) {
        let (from, to) = self.range(input.len());
        match self.below(9) {
            0 if from < to => input[from] ^= 1 << self.below(8),
            1 if from < to => input[from] = self.entropy.bytes::<1>()[0],
            2 => drop(input.drain(from..to)),
            3 => input.truncate(from),
            4 => {
                let piece = input[from..to].to_vec();
                self.insert(input, &piece);
            }
            5 => {
                let other = self.one(kept);
                let (from, to) = self.range(other.len());
                self.insert(input, &other[from..to]);
            }
            6 => {
                let word = self.one(&self.words).to_vec();
                input.splice(from..to.min(from + word.len()), word);
            }
            7 => self.renumber(input),
            _ => {
                let word = self.one(&self.words).to_vec();
                self.insert(input, &word);
            }
        }
    }

    fn insert(&self, input: &mut Vec<u8>, piece: &[u8]) {
        let at = self.below(input.len() + 1);
        input.splice(at..at, piece.iter().copied());
    }

    /// Another number in the place of one.
    fn renumber(&self, input: &mut Vec<u8>) {
        let start = self.below(input.len() + 1);
        let Some(from) = input.iter().skip(start).position(u8::is_ascii_digit).map(|at| start + at) else {
            return;
        };
        let length = input[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let edge = EDGES[self.below(EDGES.len())];
        input.splice(from..from + length, edge.bytes());
    }

    fn one<'a>(&self, of: &'a [Vec<u8>]) -> &'a [u8] {
        of.get(self.below(of.len())).map_or(&[], Vec::as_slice)
    }

    /// A part of so many bytes, more often a short one.
    fn range(&self, length: usize) -> (usize, usize) {
        let from = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 16 };
        (from, (from + self.below(most + 1)).min(length))
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.entropy.below(bound as u64)).unwrap_or(0)
    }
}

#[test]
fn the_same_seed_makes_the_same_inputs_and_every_kind_of_change() {
    let kept = vec![b"abc 123 def".to_vec(), b"0123456789".to_vec()];
    let made = |seed| {
        let mutator = Mutator::new(Entropy::seeded(seed), &["word"]);
        (0..2_000).map(|_| mutator.mutated(&kept, 64)).collect::<Vec<_>>()
    };
    let inputs = made(7);
    assert_eq!(inputs, made(7));
    assert_ne!(inputs, made(8));
    assert!(inputs.iter().all(|input| input.len() <= 64));
    let holds =
        |piece: &[u8]| inputs.iter().any(|input| input.windows(piece.len()).any(|window| window == piece));
    assert!(holds(b"word") && holds(b"65536") && holds(b"abcabc") && holds(b"\xff"));
    assert!(inputs.iter().any(Vec::is_empty));
}
