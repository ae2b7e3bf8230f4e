//! The reserve: a file beside the store that holds nothing but space, to be
//! given up when the disk is full.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::store::sqlite::connection::{OWN, beside};

const PIECE_BYTES: usize = 64 << 10;

pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// The reserve of `bytes` of the store at `store`; none, if they are 0.
    pub(super) fn new(store: &Path, bytes: u64) -> Self {
        Self { path: beside(store, ".reserve"), bytes }
    }

    /// Makes it whole. If there is no space for that, it is given up.
    pub(super) fn restore(&self) -> io::Result<()> {
        let there = || fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == self.bytes);
        if self.bytes == 0 || there() {
            return Ok(());
        }
        self.write().inspect_err(|_| {
            self.release();
        })
    }

    /// Written rather than only made long, and with what can't be compressed: it
    /// must take the space.
    fn write(&self) -> io::Result<()> {
        let mut file = File::options().create(true).truncate(true).write(true).mode(OWN).open(&self.path)?;
        let (mut left, mut mixed) = (usize::try_from(self.bytes).unwrap_or(usize::MAX), 0);
        let mut piece = vec![0; PIECE_BYTES];
        while left > 0 {
            piece.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&mix(&mut mixed).to_le_bytes()));
            let now = left.min(PIECE_BYTES);
            file.write_all(&piece[..now])?;
            left -= now;
        }
        Ok(())
    }

    /// Gives it up; whether there was any.
    pub(super) fn release(&self) -> bool {
        self.bytes > 0 && fs::remove_file(&self.path).is_ok()
    }
}

/// The next of a sequence without a pattern (`SplitMix64`).
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
