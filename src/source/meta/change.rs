//! One change: field and value to what it means.

use ring::digest::{Context, SHA256};
use serde_json::value::RawValue;

use super::super::json::Json;
use super::{account, capability, fit, quality, template};
use crate::model::change::{CAPABILITY_FIELD, Capability, Change, Detail, Fingerprint, QUALITY_FIELD};
use crate::model::id::BusinessAccountId;
use crate::model::number::Subject;

/// A field's name is at most this long.
const FIELD_LIMIT_BYTES: usize = 128;

/// Reads one change that came under the business account `entry`, or says what
/// is wrong with it.
pub fn read(
    entry: &BusinessAccountId,
    time: Option<i64>,
    field: &str,
    value: &RawValue,
) -> Result<Change, &'static str> {
    if !(1..=FIELD_LIMIT_BYTES).contains(&field.len()) || field.chars().any(char::is_control) {
        return Err("the field is no name");
    }
    let json = Json::read(value).ok_or("the value is nested too deeply")?;
    let customer = (field == "account_update").then(|| account::customer(&json)).flatten();
    let business_account = customer.unwrap_or_else(|| entry.clone());
    let (subject, detail) = if field == QUALITY_FIELD {
        let (subject, quality) = quality::read(&json)?;
        (subject, Detail::Quality(quality))
    } else {
        (subject(&json, &business_account), management(field, &json, value))
    };
    // Over the business account that routes it, not the entry's: that one is not
    // kept with a change that waits unrouted, and it must be the same one later.
    let account = business_account.as_str().as_bytes();
    let fingerprint = fingerprint([account, field.as_bytes(), &json.canonical()]);
    let (field, raw) = (field.to_owned(), value.get().to_owned());
    Ok(Change { business_account, time, field, subject, fingerprint, detail, raw })
}

/// Which bytes these are: the first half of SHA-256 over the parts, a zero byte
/// between them.
pub fn fingerprint(parts: [&[u8]; 3]) -> Fingerprint {
    let mut hash = Context::new(&SHA256);
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 {
            hash.update(&[0]);
        }
        hash.update(part);
    }
    let digest = hash.finish();
    std::array::from_fn(|at| digest.as_ref()[at])
}

/// The number that the value names, or else the business account.
fn subject(value: &Json<'_>, business_account: &BusinessAccountId) -> Subject {
    let named = ["display_phone_number", "phone_number"].into_iter().find_map(|name| {
        let shown = fit::text(value, name).ok().flatten()?;
        Subject::number(shown)
    });
    let named = named.or_else(|| entity(value));
    named.unwrap_or_else(|| Subject::business_account(business_account.as_str()))
}

/// The number that an alert is about (`account_alerts`), if its entity is one as
/// it is shown. Meta's own id of a number, which only Meta could resolve, has
/// more digits than numbers in use: taken for one, it would be a number that
/// nobody has.
fn entity(value: &Json<'_>) -> Option<Subject> {
    let kind = fit::text(value, "entity_type").ok().flatten()?;
    let id = fit::text(value, "entity_id").ok().flatten().filter(|_| kind == "PHONE_NUMBER")?;
    let subject = Subject::number(id)?;
    let shown = id.starts_with('+') || subject.as_str().len() <= DIGITS_OF_A_NUMBER;
    shown.then_some(subject)
}

/// Numbers in use have no more digits; Meta's ids have 15 and more.
const DIGITS_OF_A_NUMBER: usize = 14;

/// The event of a field other than the seed's: modelled if the field is and the
/// value fits, else as it came.
fn management(field: &str, json: &Json<'_>, value: &RawValue) -> Detail {
    let modelled = match field {
        "message_template_status_update" => Some(("template_status_update", template::status(json))),
        "message_template_quality_update" => Some(("template_quality_update", template::quality(json))),
        "template_category_update" => Some((field, template::category(json))),
        "template_correct_category_detection" => Some((field, template::correct_category(json))),
        "account_update" => Some((field, account::details(json))),
        _ => None,
    };
    match modelled {
        Some((event_type, Ok(details))) => Detail::Other { event_type: event_type.to_owned(), details },
        Some((_, Err(fit::Misfit))) | None => {
            let name = serde_json::Value::from(field);
            let details = format!(r#"{{"rawEvent":{{"field":{name},"value":{}}}}}"#, value.get());
            match capability::limit(json).filter(|_| field == CAPABILITY_FIELD) {
                Some((limit, of_portfolio)) => {
                    Detail::Capability(Capability { limit, of_portfolio, details })
                }
                None => Detail::Other { event_type: field.to_owned(), details },
            }
        }
    }
}
