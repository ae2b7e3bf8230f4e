//! One request, verified and read: the event, and what the headers say of it.

use std::time::SystemTime;

use crate::word::words;
use crate::{Event, EventError, SignatureError, Verifier};

/// A genuine delivery.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Delivery {
    /// What happened.
    pub event: Event,
    /// 1, 2, 3.. over the life of the delivery, replays included.
    pub attempt: u64,
    /// Where the event stands among those of its number: 1, 2, 3.. without gaps, of which a webhook may
    /// not get all.
    pub sequence: u64,
    /// A test event: no number has changed.
    pub test: bool,
    /// Why there is the event, if no notification of the number's said it.
    pub derived: Option<Derived>,
    /// No news, but how the number stands, because the webhook's owner asked.
    pub snapshot: bool,
    /// What of the event was overtaken when it was accepted: don't take it for how the number stands.
    pub stale: Vec<StaleValue>,
}

words! {
    /// Why there is an event that no notification of the number's said.
    Derived {
        /// The limit of the business account's numbers changed.
        Capability = "business_capability_update",
        /// Meta's API said something else than was known.
        Reconciliation = "reconciliation",
    }
}

words! {
    /// A value of an event.
    StaleValue {
        /// `currentLimit`.
        Limit = "limit",
        /// `maxDailyConversationsPerBusiness`.
        PortfolioLimit = "portfolioLimit",
        /// What a `THROUGHPUT_UPGRADE` says.
        Throughput = "throughput",
        /// What `FLAGGED` and `UNFLAGGED` say.
        Flagged = "flagged",
    }
}

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is not believed.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It is genuine, and its body is no event.
    #[error(transparent)]
    Body(#[from] EventError),
    /// It is genuine, and the id that was signed is not the event's.
    #[error("the header webhook-id is not the eventId of the body")]
    OtherId,
    /// It is genuine, and a header of Bellwether's is missing or no number.
    #[error("the header {0} is missing or no number; hint: does a proxy before this receiver drop headers?")]
    Header(&'static str),
}

impl Refusal {
    /// The status to answer with: 401 if it is not believed, else 400.
    pub fn status(&self) -> u16 {
        match self {
            Self::Signature(_) => 401,
            Self::Body(_) | Self::OtherId | Self::Header(_) => 400,
        }
    }
}

impl Delivery {
    /// Verifies a request and reads it. `header` gives a header's value by its name in lower case; `body`
    /// is the body's bytes as they came; `now` is what the caller's clock shows.
    pub fn read<'h>(
        verifier: &Verifier,
        header: impl Fn(&'static str) -> Option<&'h str>,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Self, Refusal> {
        verifier.verify(&header, body, now)?;
        let event = Event::read(body)?;
        if header("webhook-id") != Some(&event.event_id) {
            return Err(Refusal::OtherId);
        }
        let number = |name| header(name).and_then(|text| text.parse().ok()).ok_or(Refusal::Header(name));
        let stale = header("bellwether-stale").unwrap_or_default().split([',', ' ']);
        Ok(Self {
            attempt: number("bellwether-attempt")?,
            sequence: number("bellwether-sequence")?,
            test: header("bellwether-test") == Some("true"),
            derived: header("bellwether-derived").map(Derived::from),
            snapshot: header("bellwether-snapshot") == Some("true"),
            stale: stale.filter(|word| !word.is_empty()).map(StaleValue::from).collect(),
            event,
        })
    }

    /// Whom the sequence counts, for [`Sequences`](crate::Sequences): see [`Event::subject`]. A test event
    /// counts by itself.
    pub fn subject(&self) -> String {
        if self.test { format!("test:{}", self.event.event_id) } else { self.event.subject() }
    }
}
