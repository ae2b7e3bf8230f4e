//! What is passed on as Meta sent it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Rest, digits};

/// JSON as it was written, numbers to the last digit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Raw(pub(super) Box<RawValue>);

impl Raw {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Its value. Numbers beyond 64 bits lose digits here; [`Raw::as_str`] has them all.
    pub fn to_value(&self) -> Value {
        serde_json::from_str(self.as_str()).unwrap_or_default()
    }
}

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for Raw {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let any =
            utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::SchemaType::AnyValue);
        any.description(Some("Any JSON, as Meta sent it.")).into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for Raw {}

/// Details of an event that is not modelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RawEvent {
    /// What Meta sent.
    pub raw_event: RawChange,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}

/// A change as Meta sent it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RawChange {
    /// Meta's name of it.
    pub field: String,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Raw>,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}

/// Numbers in use have no more digits; Meta's own ids of numbers have 15 and more.
const DIGITS_OF_A_NUMBER: usize = 14;

impl RawChange {
    /// The digits of the number that the value names, if it does.
    pub(super) fn number(&self) -> Option<String> {
        let value = self.value.as_ref()?.to_value();
        let text = |name: &str| match value.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let named = ["display_phone_number", "phone_number"];
        let named = named.into_iter().find_map(|name| digits(&text(name)?));
        named.or_else(|| {
            let id = text("entity_id").filter(|_| text("entity_type").as_deref() == Some("PHONE_NUMBER"))?;
            let number = digits(&id)?;
            (id.starts_with('+') || number.len() <= DIGITS_OF_A_NUMBER).then_some(number)
        })
    }
}
