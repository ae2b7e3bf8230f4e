//! The live stream: what is asked for, and messages that are no item of another
//! listing.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Delivery, Event, Number};
use crate::store::journal::News;

/// What is streamed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct StreamQuery {
    /// The `id` of the last message that was read, for who can't send
    /// `Last-Event-ID`; that header has precedence. Without either: from now on.
    pub after: Option<String>,
    /// About this number only.
    pub phone_number: Option<String>,
    /// Events of this type, `phone_number_quality_update`, and their deliveries only.
    pub event_type: Option<String>,
    /// Of deliveries, those to this webhook only.
    pub webhook_id: Option<String>,
}

/// What a message's `data` is; the message's `event` says which of these.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::api) enum StreamData {
    /// `event`: it was accepted.
    Event(Event),
    /// `delivery`: as it stood after an attempt, its end or a replay.
    Delivery(Delivery),
    /// `number`: it changed without an event, and is so now.
    Number(Box<Number>),
    /// `number`: it was retired.
    Retired(Retired),
    /// `gap`: something may be missing before the next message.
    Gap(Gap),
}

impl StreamData {
    /// The message's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Event(_) => "event",
            Self::Delivery(_) => "delivery",
            Self::Number(_) | Self::Retired(_) => "number",
            Self::Gap(_) => "gap",
        }
    }
}

impl From<News> for StreamData {
    fn from(news: News) -> Self {
        match news {
            News::Event(row) => Self::Event(row.into()),
            News::Delivery(delivery) => Self::Delivery(delivery.into()),
            News::Number(row) => Self::Number(Box::new((*row).into())),
            News::Retired(phone_number) => Self::Retired(Retired { phone_number, retired: true }),
            News::Gap => Self::Gap(Gap { detail: GAP.to_owned(), hint: GAP_HINT.to_owned() }),
        }
    }
}

const GAP: &str = "what happened before this is not kept any more, so something may be missing";
const GAP_HINT: &str = "look at the listings of events and deliveries, with `since`, for what was missed";

/// A number that was retired.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Retired {
    /// Its digits.
    #[schema(example = "15550783881")]
    pub phone_number: String,
    /// Always true.
    pub retired: bool,
}

/// Something may be missing here.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Gap {
    /// What happened.
    pub detail: String,
    /// What to do about it.
    pub hint: String,
}
