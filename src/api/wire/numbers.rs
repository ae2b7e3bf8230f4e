//! What is known of numbers.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::model::id::EventId;
use crate::model::number::{Changed, What};
use crate::store::catalog::{HistoryRow, NumberRow, NumberSort, Refusal};

/// Which numbers.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct NumbersQuery {
    /// Of this business account.
    pub business_account_id: Option<String>,
    /// Whose digits contain these; what else is in it does not count.
    pub digits: Option<String>,
    /// With this messaging limit, however it is spelled: `TIER_10K`, `10000`.
    pub messaging_limit: Option<String>,
    /// With this throughput: `STANDARD`, `HIGH`.
    pub throughput: Option<String>,
    /// With this quality rating: `GREEN`, `YELLOW`, `RED`, `NA`, `UNKNOWN`.
    pub rating: Option<String>,
    /// Flagged, or not known to be.
    pub flagged: Option<bool>,
    /// Of which something changed at or after this time (RFC 3339).
    pub changed_since: Option<String>,
    /// In which order; by their digits unless said.
    #[param(inline)]
    pub sort: Option<Sort>,
    /// At most so many items, 1 to 500; 50 unless said.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// `nextCursor` of the page before, in the same order.
    pub cursor: Option<String>,
}

/// The order of numbers; `-` turns it round.
#[derive(Clone, Copy, Deserialize, ToSchema)]
pub(in crate::api) enum Sort {
    #[serde(rename = "phoneNumber")]
    PhoneNumber,
    #[serde(rename = "changedAt")]
    ChangedAt,
    #[serde(rename = "-changedAt")]
    ChangedAtDown,
    #[serde(rename = "messagingLimit")]
    MessagingLimit,
    #[serde(rename = "-messagingLimit")]
    MessagingLimitDown,
}

impl From<Sort> for NumberSort {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::PhoneNumber => Self::Number,
            Sort::ChangedAt => Self::Changed,
            Sort::ChangedAtDown => Self::ChangedDown,
            Sort::MessagingLimit => Self::Limit,
            Sort::MessagingLimitDown => Self::LimitDown,
        }
    }
}

/// A number, and what is known of it; what is not known is left out.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Number {
    /// Its digits.
    #[schema(example = "15550783881")]
    pub phone_number: String,
    /// The WABA that last spoke of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_account_id: Option<String>,
    /// That of its last event; 0 before the first.
    pub sequence: i64,
    /// How often something changed without an event.
    pub revision: i64,
    /// When anything of it last changed.
    #[schema(format = DateTime)]
    pub changed_at: String,
    /// The messaging limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Known<String>>,
    /// The limit of the portfolio that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portfolio_limit: Option<Known<String>>,
    /// `STANDARD` (80 messages a second) or `HIGH` (1,000).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput: Option<Known<String>>,
    /// Whether it is flagged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flagged: Option<Known<bool>>,
    /// The quality rating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating: Option<Known<String>>,
    /// The status, `CONNECTED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Known<String>>,
}

/// One thing that is known.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Known<T> {
    /// How it is, in Meta's words as said.
    pub value: T,
    /// When it was first said to be so.
    #[schema(format = DateTime)]
    pub since: String,
    /// When it was last said to be so.
    #[schema(format = DateTime)]
    pub confirmed_at: String,
    /// By what it was learned first, that it is so: `notification`, `published`,
    /// `business_capability_update`, `reconciliation`, `hand`.
    #[schema(example = "notification")]
    pub learned_by: &'static str,
    /// The event that told it, if one did and it is still kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub event_id: Option<String>,
}

impl From<NumberRow> for Number {
    fn from(row: NumberRow) -> Self {
        let text = |what| known(&row, what, str::to_owned);
        Self {
            sequence: row.state.sequence,
            revision: row.state.revision,
            changed_at: row.state.changed_at.to_string(),
            limit: text(What::Limit),
            portfolio_limit: text(What::PortfolioLimit),
            throughput: text(What::Throughput),
            flagged: known(&row, What::Flagged, is_flagged),
            rating: text(What::Rating),
            status: text(What::Status),
            phone_number: row.digits,
            business_account_id: row.business_account,
        }
    }
}

fn known<T>(row: &NumberRow, what: What, value: impl Fn(&str) -> T) -> Option<Known<T>> {
    let known = row.state.known(what)?;
    let event = row.events.iter().find(|(told, _)| *told == what);
    Some(Known {
        value: value(known.value.as_str()),
        since: known.since.to_string(),
        confirmed_at: known.confirmed.to_string(),
        learned_by: known.by.as_str(),
        event_id: event.map(|(_, id)| id.to_string()),
    })
}

/// A number to be entered, or what is known of it; what is left out stays as it
/// is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"businessAccountId": "102290129340398", "limit": "TIER_2K"}))]
pub(in crate::api) struct PutNumber {
    /// The WABA that it belongs to; registered to this account.
    #[schema(example = "102290129340398")]
    pub business_account_id: String,
    /// The messaging limit.
    #[schema(example = "TIER_2K")]
    pub limit: Option<String>,
    /// The limit of the portfolio.
    pub portfolio_limit: Option<String>,
    /// `STANDARD` or `HIGH`.
    pub throughput: Option<String>,
    /// Whether it is flagged.
    pub flagged: Option<bool>,
    /// The quality rating.
    pub rating: Option<String>,
    /// The status.
    pub status: Option<String>,
}

/// What changed of a number at once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct HistoryItem {
    /// When it was learned.
    #[schema(format = DateTime)]
    pub at: String,
    /// By what: `notification`, `published`, `business_capability_update`,
    /// `reconciliation`, `hand`.
    pub learned_by: &'static str,
    /// The event that told it; left out if none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub event_id: Option<String>,
    /// What changed; nothing if a higher limit was refused.
    pub changes: Vec<HistoryChange>,
    /// A higher limit was refused or put off (`account_alerts`), for this number or
    /// for its business account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<HistoryRefusal>,
}

/// What Meta's alert says.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct HistoryRefusal {
    /// What became of the request for a higher limit.
    #[schema(example = "INCREASED_CAPABILITIES_ELIGIBILITY_FAILED")]
    pub kind: String,
    /// How grave it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "CRITICAL")]
    pub severity: Option<String>,
    /// Whether it still stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ACTIVE")]
    pub status: Option<String>,
    /// Meta's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// How one thing changed.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct HistoryChange {
    /// `limit`, `portfolioLimit`, `throughput`, `flagged`, `rating`, `status`.
    #[schema(example = "limit")]
    pub name: &'static str,
    /// How it was; left out if that was not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<HistoryValue>, example = "TIER_2K")]
    pub from: Option<HistoryValue>,
    /// How it is since.
    #[schema(example = "TIER_10K")]
    pub to: HistoryValue,
}

/// A value as the number has it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::api) enum HistoryValue {
    /// Of `flagged`.
    Flag(bool),
    /// Of all else: in Meta's words, as said.
    Word(String),
}

impl HistoryValue {
    fn new(what: What, value: &str) -> Self {
        if what == What::Flagged { Self::Flag(is_flagged(value)) } else { Self::Word(value.to_owned()) }
    }
}

fn is_flagged(value: &str) -> bool {
    value == "FLAGGED"
}

impl From<HistoryRow> for HistoryItem {
    fn from(row: HistoryRow) -> Self {
        let change = |Changed { what, from, to }: Changed| HistoryChange {
            name: what.as_str(),
            from: from.map(|from| HistoryValue::new(what, from.as_str())),
            to: HistoryValue::new(what, to.as_str()),
        };
        Self {
            at: row.at.to_string(),
            learned_by: row.by.as_str(),
            event_id: row.event.as_ref().map(EventId::to_string),
            changes: row.changed.into_iter().map(change).collect(),
            refusal: row.refusal.map(|Refusal { kind, severity, status, description }| HistoryRefusal {
                kind,
                severity,
                status,
                description,
            }),
        }
    }
}
