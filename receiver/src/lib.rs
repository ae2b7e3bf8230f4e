//! The receiving side of Bellwether's webhooks.
//!
//! One [`Delivery`] is one request: verified first ([`Verifier`]), then read into an [`Event`] of which no
//! value and no member is lost, whatever a newer sender says. Delivery is at least once and a replay may
//! come late, so two guards go with it: [`once`] works on each event once, and [`Sequences`] tells what is
//! older than what a number has already told.
//!
//! The crate does no input or output and reads no clock, unless asked to: the clock is an argument, the
//! memory of ids is a trait ([`SeenIds`]), and the web framework is a feature (`axum`).
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//! use bellwether_receiver::{Delivery, Details, Verifier};
//!
//! // A request of the guide for authors of receivers, with the secret that it was signed with.
//! let headers = [
//!     ("webhook-id", "01971800-ca99-7ea1-8000-00000114d3c5"),
//!     ("webhook-timestamp", "1748454395"),
//!     ("webhook-signature", "v1,NYzgE2NzabCSb2i7KlTIW3Rdf14c+WnP/UsIlLpr/o4="),
//!     ("bellwether-attempt", "1"),
//!     ("bellwether-sequence", "3"),
//! ];
//! let body = br#"{"eventId":"01971800-ca99-7ea1-8000-00000114d3c5","timestamp":"2025-05-28T17:46:34.00Z","provider":"WhatsApp","businessAccountId":"102290129340398","accountId":"0f88f5c4-fae7-4dcf-8ff2-b2990133edea","eventType":"phone_number_quality_update","eventDetails":{"displayPhoneNumber":"15550783881","meta":{"event":"UPGRADE","currentLimit":"TIER_10K","oldLimit":"TIER_1K"}}}"#;
//!
//! let verifier = Verifier::new("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")?;
//! let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
//! let now = UNIX_EPOCH + Duration::from_secs(1_748_454_400);
//! let delivery = Delivery::read(&verifier, header, body, now)?;
//! let Details::Quality(quality) = &delivery.event.details else { panic!("it is a change of quality") };
//! assert_eq!(quality.meta.current_limit.as_ref().map(|limit| limit.as_str()), Some("TIER_10K"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(all(doctest, feature = "axum"), doc = include_str!("../README.md"))]

#[cfg(feature = "axum")]
mod axum_extract;
mod delivery;
mod event;
#[cfg(feature = "schema")]
pub mod schema;
mod seen;
mod sequence;
mod signature;
mod word;

#[cfg(feature = "axum")]
pub use axum_extract::Receiving;
pub use delivery::{Delivery, Derived, Refusal, StaleValue};
pub use event::account::{AccountUpdate, RestrictionInfo, VerificationInfo, ViolationInfo};
pub use event::quality::{Change, Limit, Quality, QualityMeta};
pub use event::raw::{Raw, RawChange, RawEvent};
pub use event::template::{
    Category, CategoryMeta, CorrectCategory, CorrectCategoryMeta, DisableInfo, OtherInfo, QualityScore,
    Score, ScoreMeta, Status, StatusMeta, Template,
};
pub use event::{Details, Event, EventError, Rest};
pub use seen::{OnceError, RecentIds, SeenIds, once};
pub use sequence::Sequences;
pub use signature::{BadSecret, SignatureError, Verifier};
