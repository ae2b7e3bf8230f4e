//! The value of a `business_capability_update` (contract.md 3): which limit the
//! numbers of a business account have. Nowadays that is the portfolio's; before,
//! it was said of each number. The event itself goes out as it came; this is
//! what else it means. A limit that can't be read means nothing else.

use super::super::json::Json;

/// Meta's names for the limit, and whether it is the portfolio's; the first that
/// is there counts.
const NAMES: [(&str, bool); 3] = [
    ("max_daily_conversations_per_business", true),
    ("max_daily_conversation_per_phone", false),
    ("max_daily_conversations_per_phone", false),
];

/// The limit as said, and whether it is the portfolio's.
pub fn limit(value: &Json<'_>) -> Option<(String, bool)> {
    NAMES.into_iter().find_map(|(name, of_portfolio)| {
        let said = match value.member(name)? {
            text @ Json::Text(_) => text.text()?.trim().to_owned(),
            Json::Number(text) => (*text).to_owned(),
            Json::Plain(_) | Json::List(_) | Json::Object(_) => return None,
        };
        (!said.is_empty()).then_some((said, of_portfolio))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn every_way_to_say_the_limit_is_read() {
        let cases = [
            (r#"{"max_daily_conversations_per_business":10000}"#, Some(("10000", true))),
            (r#"{"max_daily_conversations_per_business":"10000"}"#, Some(("10000", true))),
            (
                r#"{"max_daily_conversations_per_business":"TIER_10K","max_phone_numbers_per_waba":25}"#,
                Some(("TIER_10K", true)),
            ),
            (r#"{"max_daily_conversations_per_business":"UNLIMITED"}"#, Some(("UNLIMITED", true))),
            (r#"{"max_daily_conversations_per_business":-1}"#, Some(("-1", true))),
            (
                r#"{"max_daily_conversation_per_phone":1000,"max_phone_numbers_per_business":2}"#,
                Some(("1000", false)),
            ),
            (
                r#"{"max_daily_conversation_per_phone":250,"max_daily_conversations_per_business":2000}"#,
                Some(("2000", true)),
            ),
            (
                r#"{"max_daily_conversations_per_business":null,"max_daily_conversation_per_phone":250}"#,
                Some(("250", false)),
            ),
            (r#"{"max_daily_conversations_per_business":{}}"#, None),
            (r#"{"max_daily_conversations_per_business":" "}"#, None),
            (r#"{"max_phone_numbers_per_business":25}"#, None),
            ("[]", None),
        ];
        for (text, said) in cases {
            let raw: &RawValue = serde_json::from_str(text).unwrap();
            let read = limit(&Json::read(raw).unwrap());
            assert_eq!(read.as_ref().map(|(limit, of)| (limit.as_str(), *of)), said, "{text}");
        }
    }
}
