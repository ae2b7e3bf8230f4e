//! Bulk replays.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::delivery::DeliveryState;
use crate::store::catalog::{self, ReplayState};

/// What is to be replayed. Filters left out match all.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({
    "status": "exhausted", "since": "2026-01-21T00:00:00Z", "until": "2026-01-22T00:00:00Z", "dryRun": true
}))]
pub(in crate::api) struct NewReplay {
    /// Deliveries standing there; exhausted unless said.
    pub status: Option<Replayable>,
    /// To this webhook.
    #[schema(format = "uuid")]
    pub webhook_id: Option<String>,
    /// Of this number.
    pub phone_number: Option<String>,
    /// Whose event was accepted at or after this time.
    #[schema(format = DateTime)]
    pub since: Option<String>,
    /// Whose event was accepted before this time.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// Of exhausted ones: what becomes of those for which a newer event of the same
    /// number stands that the webhook has, or will get. They are replayed unless
    /// this says `skip`.
    pub superseded: Option<Obsolete>,
    /// Only counts what would be replayed.
    #[serde(default)]
    pub dry_run: bool,
    /// At most so many deliveries a second, 1 to 1000; 50 unless said.
    #[schema(minimum = 1, maximum = 1000, default = 50)]
    pub per_second: Option<u32>,
}

/// Which deliveries a bulk replay can take: what is pending is sent anyway, and
/// what is canceled has no webhook.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum Replayable {
    /// Every attempt failed.
    Exhausted,
    /// A newer event stood for them.
    Superseded,
    /// A receiver answered 2xx.
    Delivered,
}

impl From<Replayable> for DeliveryState {
    fn from(status: Replayable) -> Self {
        match status {
            Replayable::Exhausted => Self::Exhausted,
            Replayable::Superseded => Self::Superseded,
            Replayable::Delivered => Self::Delivered,
        }
    }
}

/// What becomes of exhausted deliveries for which a newer event stands.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum Obsolete {
    /// They are replayed like any other.
    Replay,
    /// They become superseded instead, each as its turn comes.
    Skip,
}

/// What a dry run found.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Counted {
    /// Always true.
    pub dry_run: bool,
    /// How many deliveries match.
    pub matched: u64,
}

/// Where a bulk replay stands.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum ReplayStatus {
    /// Under way.
    Running,
    /// Through: all that matched is queued again, or superseded. What comes of it, the
    /// deliveries tell.
    Completed,
    /// Stopped by its owner.
    Canceled,
}

/// A bulk replay.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Replay {
    /// Its id.
    #[schema(format = "uuid")]
    pub replay_id: String,
    /// Where it stands.
    pub status: ReplayStatus,
    /// How many deliveries match.
    pub matched: u64,
    /// How many were replayed so far.
    pub replayed: u64,
    /// How many were superseded instead so far.
    pub superseded: u64,
    /// At most so many a second.
    pub per_second: u32,
    /// When it was asked for.
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl From<catalog::Replay> for Replay {
    fn from(replay: catalog::Replay) -> Self {
        Self {
            replay_id: replay.id,
            status: match replay.state {
                ReplayState::Running => ReplayStatus::Running,
                ReplayState::Completed => ReplayStatus::Completed,
                ReplayState::Canceled => ReplayStatus::Canceled,
            },
            matched: replay.matched,
            replayed: replay.replayed,
            superseded: replay.superseded,
            per_second: replay.per_second,
            created_at: replay.created_at.to_string(),
        }
    }
}

/// A count, or the replay that began.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::api) enum ReplayAnswer {
    /// Of a dry run.
    Counted(Counted),
    /// Under way.
    Begun(Replay),
}
