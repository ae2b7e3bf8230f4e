//! Every row of the contract's tables of quality and of business-management
//! events (contract.md 3 and 4), each with a notification of its own: about
//! whom it is, and what it says to the letter.

use std::collections::BTreeMap;

use super::tests::{WABA, only_change, told};
use super::*;
use crate::model::change::Change;

/// A row: the sample, about whom it is, what its event says.
type Row = (&'static str, &'static str, Told);

enum Told {
    /// As modelled: the `eventType` and the `eventDetails`.
    Modelled(&'static str, &'static str),
    /// Passed on untouched under this field.
    Raw(&'static str),
}

use Told::{Modelled, Raw};

const NUMBER: &str = "15550783881";
const BUSINESS: &str = "waba:102290129340398";
const QUALITY: &str = "phone_number_quality_update";
const STATUS: &str = "template_status_update";
const ACCOUNT: &str = "account_update";
const CAPABILITY: &str = "business_capability_update";

const QUALITIES: [Row; 7] = [
    (
        "quality-downgrade",
        NUMBER,
        Modelled(
            QUALITY,
            r#"{"displayPhoneNumber":"15550783881","meta":{"event":"DOWNGRADE","currentLimit":"TIER_1K","oldLimit":"TIER_10K"}}"#,
        ),
    ),
    (
        "quality-flagged",
        NUMBER,
        Modelled(
            QUALITY,
            r#"{"displayPhoneNumber":"15550783881","meta":{"event":"FLAGGED","currentLimit":"TIER_10K"}}"#,
        ),
    ),
    (
        "quality-integers",
        NUMBER,
        Modelled(
            QUALITY,
            r#"{"displayPhoneNumber":"15550783881","meta":{"event":"UPGRADE","currentLimit":"10000","oldLimit":"2000","maxDailyConversationsPerBusiness":"-1"}}"#,
        ),
    ),
    (
        "quality-onboarding",
        NUMBER,
        Modelled(
            QUALITY,
            r#"{"displayPhoneNumber":"15550783881","meta":{"event":"ONBOARDING","currentLimit":"TIER_NOT_SET","maxDailyConversationsPerBusiness":"TIER_2K"}}"#,
        ),
    ),
    (
        "quality-throughput",
        NUMBER,
        Modelled(
            QUALITY,
            r#"{"displayPhoneNumber":"15550783881","meta":{"event":"THROUGHPUT_UPGRADE","currentLimit":"TIER_UNLIMITED"}}"#,
        ),
    ),
    (
        "quality-unflagged",
        NUMBER,
        Modelled(
            QUALITY,
            r#"{"displayPhoneNumber":"15550783881","meta":{"event":"UNFLAGGED","currentLimit":"TIER_10K"}}"#,
        ),
    ),
    (
        "quality-upgrade",
        NUMBER,
        Modelled(
            QUALITY,
            r#"{"displayPhoneNumber":"15550783881","meta":{"event":"UPGRADE","currentLimit":"TIER_10K","oldLimit":"TIER_1K","maxDailyConversationsPerBusiness":"TIER_10K"}}"#,
        ),
    ),
];

const TEMPLATES: [Row; 8] = [
    ("template-category", BUSINESS, Modelled("template_category_update", CATEGORY)),
    // Notice of a change to come tells no change: it does not fit its model.
    ("template-category-to-come", BUSINESS, Raw("template_category_update")),
    ("template-correct-category", BUSINESS, Modelled("template_correct_category_detection", CORRECT)),
    (
        "template-quality",
        BUSINESS,
        Modelled(
            "template_quality_update",
            r#"{"templateId":1689556908129832,"templateName":"order_confirmation","templateLanguage":"en-US","meta":{"previousQualityScore":"GREEN","newQualityScore":"UNKNOWN"}}"#,
        ),
    ),
    (
        "template-status-approved",
        BUSINESS,
        Modelled(
            STATUS,
            r#"{"templateId":1689556908129832,"templateName":"order_confirmation","templateLanguage":"en-US","meta":{"status":"APPROVED","reason":"NONE"}}"#,
        ),
    ),
    (
        "template-status-disabled",
        BUSINESS,
        Modelled(
            STATUS,
            r#"{"templateId":1689556908129832,"templateName":"order_confirmation","templateLanguage":"en-US","meta":{"status":"DISABLED","disableInfo":{"disableDate":"August 23, 2025"}}}"#,
        ),
    ),
    (
        "template-status-paused",
        BUSINESS,
        Modelled(
            STATUS,
            r#"{"templateId":1689556908129832,"templateName":"order_confirmation","templateLanguage":"en-US","meta":{"status":"PAUSED","reason":"NONE","otherInfo":{"title":"FIRST_PAUSE","description":"Paused for 3 hours."}}}"#,
        ),
    ),
    (
        "template-status-rejected",
        BUSINESS,
        Modelled(
            STATUS,
            r#"{"templateId":1689556908129832,"templateName":"order_confirmation","templateLanguage":"en-US","meta":{"status":"REJECTED","reason":"INVALID_FORMAT"}}"#,
        ),
    ),
];

const CATEGORY: &str = r#"{"templateId":1689556908129832,"templateName":"order_confirmation","templateLanguage":"en-US","meta":{"previousCategory":"UTILITY","newCategory":"MARKETING"}}"#;
const CORRECT: &str = r#"{"templateId":1689556908129832,"templateName":"order_confirmation","templateLanguage":"en-US","meta":{"category":"UTILITY","correctCategory":"MARKETING"}}"#;

const ACCOUNTS: [Row; 5] = [
    ("account-partner-added", "waba:980198427658004", Modelled(ACCOUNT, r#"{"event":"PARTNER_ADDED"}"#)),
    (
        "account-restriction",
        BUSINESS,
        Modelled(
            ACCOUNT,
            r#"{"event":"ACCOUNT_RESTRICTION","restrictionInfo":[{"restrictionType":"RESTRICTED_BIZ_INITIATED_MESSAGING","expiration":"2025-05-29T17:46:34.00Z","remediation":"Wait."},{"restrictionType":"RESTRICTED_ADD_PHONE_NUMBER_ACTION"}]}"#,
        ),
    ),
    (
        "account-verification",
        BUSINESS,
        Modelled(
            ACCOUNT,
            r#"{"event":"BUSINESS_VERIFICATION_STATUS_UPDATE","businessVerificationInfo":{"businessId":"2729063490586005","verificationStatus":"FAILED","rejectionReasons":["LEGAL_NAME_NOT_MATCHING","WEBSITE_NOT_MATCHING"]}}"#,
        ),
    ),
    (
        "account-verified",
        NUMBER,
        Modelled(ACCOUNT, r#"{"event":"VERIFIED_ACCOUNT","phoneNumber":"+1 555-078-3881"}"#),
    ),
    (
        "account-violation",
        BUSINESS,
        Modelled(
            ACCOUNT,
            r#"{"event":"ACCOUNT_VIOLATION","violationInfo":{"violationType":"SPAM","remediation":"Stop."}}"#,
        ),
    ),
];

const UNTOUCHED: [Row; 13] = [
    // Refused increases, of the portfolio or of a number, however it is named.
    ("alert-deferred", BUSINESS, Raw("account_alerts")),
    ("alert-failed-of-a-number", NUMBER, Raw("account_alerts")),
    ("alert-more-info-shown", NUMBER, Raw("account_alerts")),
    // Meta's id of a number is no number.
    ("alert-of-an-id", BUSINESS, Raw("account_alerts")),
    ("capability-minus-one", BUSINESS, Raw(CAPABILITY)),
    ("capability-number", BUSINESS, Raw(CAPABILITY)),
    ("capability-numeric-string", BUSINESS, Raw(CAPABILITY)),
    ("capability-tier", BUSINESS, Raw(CAPABILITY)),
    ("capability-unlimited", BUSINESS, Raw(CAPABILITY)),
    ("rest-number-name", NUMBER, Raw("phone_number_name_update")),
    ("rest-review", BUSINESS, Raw("account_review_update")),
    ("rest-security", NUMBER, Raw("security")),
    ("rest-unheard-of", BUSINESS, Raw("a_field_of_tomorrow")),
];

/// The samples by name.
fn samples() -> BTreeMap<String, Vec<u8>> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/management");
    let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap()))
        .collect()
}

fn expected(change: &Change, told: &Told) -> String {
    let account = if change.subject.as_str() == "waba:980198427658004" { "980198427658004" } else { WABA };
    let (event_type, details) = match told {
        Modelled(event_type, details) => (*event_type, (*details).to_owned()),
        Raw(field) => (*field, format!(r#"{{"rawEvent":{{"field":"{field}","value":{}}}}}"#, change.raw)),
    };
    format!(r#""{account}" "{event_type}","eventDetails":{details}}}"#)
}

#[test]
fn each_row_of_the_contract_has_a_sample_and_becomes_the_event_that_it_says() {
    let mut samples = samples();
    for (name, subject, said) in QUALITIES.into_iter().chain(TEMPLATES).chain(ACCOUNTS).chain(UNTOUCHED) {
        let body = samples.remove(name).unwrap_or_else(|| panic!("{name} has no sample"));
        let change = only_change(read(&body));
        assert_eq!(change.subject.as_str(), subject, "{name}");
        assert_eq!(told(&change), expected(&change, &said), "{name}");
        assert!(String::from_utf8(body).unwrap().contains(&change.raw), "{name} is kept as it came");
    }
    assert!(samples.is_empty(), "no row for {:?}", samples.keys());
}

#[test]
fn a_number_of_an_alert_is_told_from_an_id_and_from_other_entities() {
    let alert = |entity: &str, id: &str| {
        let value = format!(r#"{{"entity_type":"{entity}","entity_id":{id},"alert_info":{{}}}}"#);
        let body = format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"{WABA}","changes":[{{"field":"account_alerts","value":{value}}}]}}]}}"#
        );
        only_change(read(body.as_bytes())).subject.as_str().to_owned()
    };
    for (entity, id, subject) in [
        ("PHONE_NUMBER", r#""15550783881""#, NUMBER),
        ("PHONE_NUMBER", "15550783881", NUMBER),
        ("PHONE_NUMBER", r#""+123456789012345""#, "123456789012345"),
        ("PHONE_NUMBER", r#""123456789012345""#, BUSINESS),
        ("PHONE_NUMBER", r#""none""#, BUSINESS),
        ("PHONE_NUMBER", "null", BUSINESS),
        ("PHONE_NUMBER", "{}", BUSINESS),
        ("BUSINESS", r#""15550783881""#, BUSINESS),
    ] {
        assert_eq!(alert(entity, id), subject, "{entity} {id}");
    }
}
