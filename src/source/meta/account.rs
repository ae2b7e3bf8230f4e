//! `account_update` in 8x8's words (contract.md 4). What makes it news must be
//! there: the event, a verification's status, a violation's or a restriction's
//! type. The rest is left out where Meta leaves it out.

use serde::Serialize;

use super::super::json::Json;
use super::fit::{Misfit, list, object, required, text};
use crate::model::id::BusinessAccountId;
use crate::model::time::Timestamp;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    business_verification_info: Option<VerificationInfo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    violation_info: Option<ViolationInfo<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    restriction_info: Vec<RestrictionInfo<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationInfo<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    business_id: Option<&'a str>,
    verification_status: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rejection_reasons: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ViolationInfo<'a> {
    violation_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remediation: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RestrictionInfo<'a> {
    restriction_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remediation: Option<&'a str>,
}

/// The `eventDetails`.
pub fn details(value: &Json<'_>) -> Result<String, Misfit> {
    let event = match required(value, "event")? {
        "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE" => "BUSINESS_VERIFICATION_STATUS_UPDATE",
        event => event,
    };
    let details = Details {
        event,
        phone_number: text(value, "phone_number")?,
        business_verification_info: object(value, "partner_client_certification_info")?
            .map(verification)
            .transpose()?,
        violation_info: object(value, "violation_info")?.map(violation).transpose()?,
        restriction_info: list(value, "restriction_info")?
            .iter()
            .map(restriction)
            .collect::<Result<_, _>>()?,
    };
    Ok(serde_json::to_string(&details).expect("strings always serialise"))
}

/// The customer's business account, where the update concerns one that is not
/// the entry's: `PARTNER_*` events are posted under the partner's own.
pub fn customer(value: &Json<'_>) -> Option<BusinessAccountId> {
    required(value, "event").ok().filter(|event| event.starts_with("PARTNER_"))?;
    required(value.member("waba_info")?, "waba_id").ok()?.parse().ok()
}

fn verification<'a>(info: &'a Json<'_>) -> Result<VerificationInfo<'a>, Misfit> {
    let reasons = list(info, "rejection_reasons")?.iter();
    Ok(VerificationInfo {
        business_id: text(info, "client_business_id")?,
        verification_status: required(info, "status")?,
        rejection_reasons: reasons
            .map(|reason| reason.text().map(|reason| reason.replace(' ', "_")).ok_or(Misfit))
            .collect::<Result<_, _>>()?,
    })
}

fn violation<'a>(info: &'a Json<'_>) -> Result<ViolationInfo<'a>, Misfit> {
    Ok(ViolationInfo {
        violation_type: required(info, "violation_type")?,
        remediation: text(info, "remediation")?,
    })
}

fn restriction<'a>(info: &'a Json<'_>) -> Result<RestrictionInfo<'a>, Misfit> {
    Ok(RestrictionInfo {
        restriction_type: required(info, "restriction_type")?,
        expiration: text(info, "expiration")?.map(instant).transpose()?,
        remediation: text(info, "remediation")?,
    })
}

/// Unix seconds, or RFC 3339 already, in the form of the event's own timestamp.
fn instant(text: &str) -> Result<String, Misfit> {
    let seconds = text.parse().ok().and_then(Timestamp::from_seconds);
    seconds.or_else(|| Timestamp::parse(text)).map(|at| at.to_string()).ok_or(Misfit)
}
