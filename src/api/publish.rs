//! Publishing a change without Meta.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::auth::Owner;
use super::errors::{Code, Problem};
use super::input::{INSTANT_RULE, Input, label};
use super::openapi::Routes;
use super::{App, key, wire};
use crate::model::change::{Change, Detail, Fingerprint, QUALITY_FIELD, Quality};
use crate::model::id::EventId;
use crate::model::number::Subject;
use crate::model::time::Timestamp;
use crate::store::queue::{Audience, Publication, Published};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const LONGEST_KEY: usize = 255;
const LONGEST_VALUE: usize = 64;

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes.chapter("Events").add::<__path_publish, _, _>(publish)
}

/// An event that was made, or had been made before.
type Accepted = (StatusCode, HeaderMap, Json<wire::EventRef>);

/// Publishes a change of a number.
///
/// For what was learned elsewhere than from Meta. 202 means that the event is
/// on the disk. Repeated within 14 days under the same Idempotency-Key it makes
/// no second event.
#[utoipa::path(post, path = "/v1/accounts/{accountId}/events", operation_id = "publishEvent",
    request_body = wire::Publish,
    params(("Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 visible ASCII characters; kept for 14 days")),
    responses(
        (status = 202, description = "Accepted; header `idempotency-replayed: true` if it had been before",
            body = wire::EventRef),
        (status = 409, description = "The account is not configured for Chat Apps", body = wire::Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "The business account is not this account's, or the idempotency key was used for another request",
            body = wire::Problem, content_type = "application/problem+json")),
    security(("bearer" = ["operator", "account"])))]
async fn publish(
    Owner(account): Owner,
    State(app): State<App>,
    headers: HeaderMap,
    Input(wanted): Input<wire::Publish>,
) -> Result<Accepted, Problem> {
    let idempotency_key = idempotency_key(&headers)?;
    let canonical = serde_json::to_string(&wanted).expect("strings always serialise");
    let fingerprint = fingerprint(&canonical);
    let (change, timestamp) = change(wanted, canonical, fingerprint)?;
    let business_account = change.business_account.clone();
    let publication = Publication {
        now: app.env.clock.now(),
        account: account.id,
        change,
        timestamp,
        audience: Audience::Routed,
        idempotency: idempotency_key.map(|key| (key, fingerprint)),
        random: app.env.entropy.u64(),
        fill_limits: app.fill_limits,
    };
    match app.store.publish(publication).await? {
        Published::Accepted(id) => Ok(accepted(id, HeaderMap::new())),
        Published::Repeated(id) => {
            Ok(accepted(id, HeaderMap::from_iter([(REPLAYED, HeaderValue::from_static("true"))])))
        }
        Published::KeyReused => Err(Problem::new(
            Code::KeyReused,
            "this Idempotency-Key came with another request within the last 14 days",
        )
        .hint("use a new key for a new event, and the same body for a repeat")),
        Published::UnknownBusinessAccount => Err(Problem::new(
            Code::UnknownBusinessAccount,
            format!("business account {business_account} is not registered to this account"),
        )
        .hint("an operator registers it with PUT /v1/business-accounts/{businessAccountId}")),
        Published::NotConfigured => Err(not_configured()),
        Published::UnknownWebhook => Err(Problem::new(Code::Internal, "no webhook was asked for")),
    }
}

/// The account does not take part.
pub(super) fn not_configured() -> Problem {
    Problem::new(Code::NotConfigured, "the account is not configured for Chat Apps")
        .hint("an operator sets chatApps with PUT /v1/accounts/{accountId}")
}

/// The answer to a new event.
pub(super) fn accepted(id: EventId, headers: HeaderMap) -> Accepted {
    (StatusCode::ACCEPTED, headers, Json(wire::EventRef { event_id: id.to_string() }))
}

/// The first 16 bytes of SHA-256.
pub(super) fn fingerprint(text: &str) -> Fingerprint {
    let mut out = [0; 16];
    out.copy_from_slice(&key::sha256(text.as_bytes())[..16]);
    out
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let bytes = value.as_bytes();
    let fits = (1..=LONGEST_KEY).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    match value.to_str() {
        Ok(text) if fits && all.next().is_none() => Ok(Some(text.to_owned())),
        _ => Err(Problem::parameter(
            "Idempotency-Key",
            format!("must be one header of 1 to {LONGEST_KEY} visible ASCII characters"),
        )),
    }
}

/// The change that is published, and when what it tells happened. The change
/// says no time of its own: a publication is never a resend.
fn change(
    wanted: wire::Publish,
    raw: String,
    fingerprint: Fingerprint,
) -> Result<(Change, Option<Timestamp>), Problem> {
    let business_account =
        wanted.business_account_id.parse().map_err(|error| Problem::field("businessAccountId", error))?;
    let display_phone_number = label("displayPhoneNumber", wanted.display_phone_number, LONGEST_VALUE)?;
    let subject = Subject::number(&display_phone_number).ok_or_else(|| {
        Problem::field("displayPhoneNumber", "must hold 1 to 32 digits, such as 15550783881")
    })?;
    let value =
        |name: &str, text: Option<String>| text.map(|text| label(name, text, LONGEST_VALUE)).transpose();
    let detail = Detail::Quality(Quality {
        event: label("event", wanted.event, LONGEST_VALUE)?,
        current_limit: value("currentLimit", wanted.current_limit)?,
        old_limit: value("oldLimit", wanted.old_limit)?,
        max_daily_conversations_per_business: value(
            "maxDailyConversationsPerBusiness",
            wanted.max_daily_conversations_per_business,
        )?,
        display_phone_number,
    });
    let timestamp = match wanted.timestamp {
        Some(text) => Some(Timestamp::parse(&text).ok_or_else(|| Problem::field("timestamp", INSTANT_RULE))?),
        None => None,
    };
    let field = QUALITY_FIELD.to_owned();
    Ok((Change { business_account, time: None, field, subject, fingerprint, detail, raw }, timestamp))
}
