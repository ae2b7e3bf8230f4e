//! A value of each field that Meta notifies of, as Meta writes it, and changes to it by
//! hand: `alert_info.alert_severity=CRITICAL`.

use serde_json::{Value, json};

use crate::cli::{Exit, Failure};

/// Fields besides those that are about a limit.
pub(super) const FIELDS: [&str; 9] = [
    "account_alerts",
    "account_review_update",
    "account_update",
    "message_template_quality_update",
    "message_template_status_update",
    "phone_number_name_update",
    "security",
    "template_category_update",
    "template_correct_category_detection",
];

/// What changes from one of a burst to the next: the first of these that is there.
const COUNTED: [&str; 4] = ["/display_phone_number", "/phone_number", "/entity_id", "/message_template_id"];

/// A value of `field`, which is one of [`FIELDS`]; about `number`, if about any.
pub(super) fn value(field: &str, number: &str) -> Value {
    match field {
        "account_alerts" => json!({
            "entity_type": "PHONE_NUMBER", "entity_id": format!("+{number}"),
            "alert_info": {
                "alert_severity": "WARNING", "alert_status": "ACTIVE",
                "alert_type": "INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED",
                "alert_description": "The limit can't be raised yet.",
            },
        }),
        "account_review_update" => json!({"decision": "APPROVED"}),
        "account_update" => json!({
            "event": "ACCOUNT_RESTRICTION",
            "restriction_info": [{"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING"}],
        }),
        "message_template_quality_update" => template(json!({
            "previous_quality_score": "GREEN", "new_quality_score": "YELLOW",
        })),
        "message_template_status_update" => template(json!({"event": "APPROVED", "reason": "NONE"})),
        "phone_number_name_update" => json!({
            "display_phone_number": number, "decision": "APPROVED", "requested_verified_name": "Shop",
            "rejection_reason": null,
        }),
        "security" => {
            json!({"display_phone_number": number, "event": "PIN_CHANGED", "requester": "1234567890"})
        }
        "template_category_update" => {
            template(json!({"previous_category": "UTILITY", "new_category": "MARKETING"}))
        }
        _ => template(json!({"category": "UTILITY", "correct_category": "MARKETING"})),
    }
}

fn template(mut value: Value) -> Value {
    value["message_template_id"] = 1_689_556_908_129_832_i64.into();
    value["message_template_name"] = "order_confirmation".into();
    value["message_template_language"] = "en-US".into();
    value
}

/// Sets what `PATH=VALUE` says: members by name, items by number, between dots; the
/// value is JSON if it can be, else text.
pub(super) fn set(value: &mut Value, said: &str) -> Result<(), Failure> {
    let wrong = |what: String| {
        let hint = "hint: --override alert_info.alert_severity=CRITICAL sets a member of the change's value";
        Failure::new(Exit::Usage, format!("{what}\n{hint}"))
    };
    let Some((path, text)) = said.split_once('=').filter(|(path, _)| !path.is_empty()) else {
        return Err(wrong(format!("{said:?} is not PATH=VALUE")));
    };
    let mut at = value;
    for name in path.split('.') {
        at = match at {
            Value::Array(items) => {
                let many = items.len();
                let item = name.parse().ok().and_then(|at: usize| items.get_mut(at));
                item.ok_or_else(|| {
                    wrong(format!("{path:?} leads nowhere: a list of {many} has no item {name:?}"))
                })?
            }
            Value::Object(members) => members.entry(name).or_insert(Value::Null),
            other @ Value::Null => {
                *other = json!({});
                &mut other[name]
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err(wrong(format!("{path:?} leads nowhere: {name:?} would be within a plain value")));
            }
        };
    }
    *at = serde_json::from_str(text).unwrap_or_else(|_| text.into());
    Ok(())
}

/// The `n`th of a burst: about another number or template than the ones before it.
/// `None` if all would be one and the same change.
pub(super) fn nth(value: &Value, n: u64) -> Option<Value> {
    let mut value = value.clone();
    let counted = COUNTED.into_iter().find(|at| value.pointer(at).is_some())?;
    let counted = value.pointer_mut(counted)?;
    let digits = counted.as_str().map(|text| text.chars().filter(char::is_ascii_digit).collect::<String>());
    *counted = match (&counted, digits) {
        (Value::Number(number), _) => number.as_u64()?.checked_add(n)?.into(),
        (_, Some(digits)) => {
            let sign = if counted.as_str().is_some_and(|text| text.starts_with('+')) { "+" } else { "" };
            let (width, number) = (digits.len(), digits.parse::<u64>().ok()?.checked_add(n)?);
            format!("{sign}{number:0width$}").into()
        }
        _ => return None,
    };
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_changed_where_the_path_leads_and_nowhere_else() {
        let mut alert = value("account_alerts", "15550783881");
        set(&mut alert, "alert_info.alert_severity=CRITICAL").unwrap();
        set(&mut alert, "alert_info.new.inner=10000").unwrap();
        assert_eq!(alert["alert_info"]["alert_severity"], "CRITICAL");
        assert_eq!(alert["alert_info"]["new"], json!({"inner": 10000}));
        let mut account = value("account_update", "1");
        set(&mut account, "restriction_info.0.restriction_type=a=b").unwrap();
        assert_eq!(account["restriction_info"][0]["restriction_type"], "a=b");
        for wrong in ["restriction_info.1.a=1", "event.a=1", "event", "=1"] {
            let told = set(&mut account.clone(), wrong).unwrap_err().message;
            assert!(told.contains("hint: --override"), "{told}");
        }
    }

    #[test]
    fn each_of_a_burst_is_another_change_if_there_is_something_to_count() {
        assert_eq!(nth(&json!({"display_phone_number": "015"}), 5).unwrap()["display_phone_number"], "020");
        assert_eq!(nth(&value("account_alerts", "19"), 1).unwrap()["entity_id"], "+20");
        for field in FIELDS {
            let value = value(field, "15550783881");
            let countable = !matches!(field, "account_review_update" | "account_update");
            assert_eq!(nth(&value, 1).is_some_and(|next| next != value), countable, "{field}");
        }
    }
}
