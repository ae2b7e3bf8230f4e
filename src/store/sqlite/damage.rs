//! Damage: the file holds what this program can't have written. Whoever meets
//! it, the writer or a reader, notes it here first; then the process ends,
//! because no answer from such a file can be trusted, neither "it is stored" nor
//! "there is no more".

use rusqlite::ErrorCode;
use tokio::sync::watch;

use crate::store::{Error, ErrorKind};

/// What was found, shared by all that use the store.
#[derive(Clone)]
pub(super) struct Damage(watch::Sender<Option<String>>);

impl Default for Damage {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Damage {
    /// Becomes what was found.
    pub(super) fn watch(&self) -> watch::Receiver<Option<String>> {
        self.0.subscribe()
    }

    /// Passes an answer on, and notes the damage that it may tell.
    pub(super) fn notice<T, E: Tells>(&self, answer: Result<T, E>) -> Result<T, E> {
        if let Err(error) = &answer
            && error.tells_damage()
        {
            tracing::error!(%error, "the store is damaged; ending, since nothing in it can be trusted");
            self.0.send_replace(Some(error.told()));
        }
        answer
    }
}

/// An error that may be the sign of damage.
pub(super) trait Tells: std::fmt::Display {
    fn tells_damage(&self) -> bool;
    /// What operators are told.
    fn told(&self) -> String;
}

impl Tells for rusqlite::Error {
    fn tells_damage(&self) -> bool {
        is_damage(self)
    }

    fn told(&self) -> String {
        format!("the store is damaged: {self}")
    }
}

impl Tells for Error {
    fn tells_damage(&self) -> bool {
        self.kind == ErrorKind::Damaged
    }

    fn told(&self) -> String {
        self.message.clone()
    }
}

/// Whether SQLite can't make sense of its file, or we of a value in it, or a row
/// is gone that must be there.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, QueryReturnedNoRows,
    };
    let unreadable = matches!(
        error,
        FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | QueryReturnedNoRows
    );
    unreadable
        || matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
