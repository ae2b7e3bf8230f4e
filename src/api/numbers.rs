//! What is known of an account's numbers: the state behind the events.
//!
//! An `ETag` is made of the sequence of the number's last event and of its
//! revision, which counts what changed without one: a rating can fall from
//! `GREEN` to `YELLOW`, and no event tells that. It is a weak one: that
//! something known was said once more moves `confirmedAt` only, and whoever
//! polls need not be told.

use axum::Json;
use axum::extract::State;
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::auth::{Owner, Scope};
use super::errors::{Code, Problem};
use super::input::{Id, Input, Params, PhoneNumber, instant, label};
use super::openapi::Routes;
use super::{App, paging, wire};
use crate::model::limit::Step;
use crate::model::number::{NumberState, What};
use crate::model::word::Word;
use crate::policy::transition::ByHand;
use crate::store::catalog::{Entered, HistoryQuery, NumberEntry, NumberQuery, NumberRow, NumberSort};

/// A value may have so many characters.
const LONGEST_VALUE: usize = 64;

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes
        .chapter("Phone numbers")
        .add::<__path_list, _, _>(list)
        .add::<__path_show, _, _>(show)
        .add::<__path_put, _, _>(put)
        .add::<__path_delete, _, _>(delete)
        .add::<__path_history, _, _>(history)
}

/// The listing that a cursor belongs to: one for each order.
fn listing(sort: NumberSort) -> &'static str {
    match sort {
        NumberSort::Number => "numbers",
        NumberSort::Changed => "numbers-changed",
        NumberSort::ChangedDown => "numbers-changed-down",
        NumberSort::Limit => "numbers-limit",
        NumberSort::LimitDown => "numbers-limit-down",
    }
}

/// Lists numbers and what is known of them.
#[utoipa::path(get, path = "/v1/accounts/{accountId}/phone-numbers", operation_id = "listPhoneNumbers",
    params(wire::NumbersQuery),
    responses((status = 200, description = "A page of numbers", body = wire::Page<wire::Number>)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn list(
    Scope(account): Scope,
    State(app): State<App>,
    Params(query): Params<wire::NumbersQuery>,
) -> Result<Json<wire::Page<wire::Number>>, Problem> {
    let sort = query.sort.map(NumberSort::from).unwrap_or_default();
    let business_account = match query.business_account_id {
        Some(text) => Some(text.parse().map_err(|error| Problem::parameter("businessAccountId", error))?),
        None => None,
    };
    let query = NumberQuery {
        account: account.id,
        business_account,
        digits: query.digits.as_deref().map(digits).transpose()?,
        messaging_limit: query.messaging_limit,
        throughput: query.throughput.map(|text| text.trim().to_ascii_uppercase()),
        rating: query.rating.map(|text| text.trim().to_ascii_uppercase()),
        flagged: query.flagged,
        changed_since: instant("changedSince", query.changed_since.as_deref())?,
        sort,
        after: paging::place(listing(sort), query.cursor.as_deref())?,
        limit: paging::limit(query.limit)?,
    };
    let page = app.store.numbers(query).await?;
    let next_cursor = page.next.map(|place| paging::cursor(listing(sort), place));
    Ok(Json(wire::Page { items: page.items.into_iter().map(wire::Number::from).collect(), next_cursor }))
}

/// The digits of a text that people typed; there is one at least.
fn digits(text: &str) -> Result<String, Problem> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() { Err(Problem::parameter("digits", "must have a digit")) } else { Ok(digits) }
}

/// Shows what is known of a number.
///
/// The number may be spelled as people do, `+1 555-078-3881` (in a URL
/// `%2B1%20555-078-3881`). Its `ETag` changes whenever something known changes,
/// with or without an event: send it as `If-None-Match` to ask for news only.
#[utoipa::path(get, path = "/v1/accounts/{accountId}/phone-numbers/{phoneNumber}",
    operation_id = "getPhoneNumber",
    params(("If-None-Match" = Option<String>, Header, description = "An `ETag` of before, or several")),
    responses(
        (status = 200, description = "The number", body = wire::Number,
            headers(("ETag" = String, description = "The number's sequence and revision, `W/\"12.3\"`"))),
        (status = 304, description = "Nothing has changed since that `ETag`")),
    security(("bearer" = ["operator", "account", "read"])))]
async fn show(
    Scope(account): Scope,
    State(app): State<App>,
    Id(PhoneNumber(number)): Id<PhoneNumber>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = app.store.number(account.id, number).await?;
    let row = found.ok_or_else(|| Problem::not_found("phone number"))?;
    let etag = etag(&row.state);
    if is_known(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, value(&etag))]).into_response());
    }
    Ok(shown(StatusCode::OK, row))
}

fn shown(status: StatusCode, row: NumberRow) -> Response {
    let etag = value(&etag(&row.state));
    (status, [(ETAG, etag)], Json(wire::Number::from(row))).into_response()
}

fn etag(state: &NumberState) -> String {
    format!("W/\"{}.{}\"", state.sequence, state.revision)
}

fn value(etag: &str) -> HeaderValue {
    HeaderValue::from_str(etag).expect("digits, a dot and quotes are a header's value")
}

/// Whether the caller has this already: `If-None-Match` names it, weakly or not,
/// or is `*`.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let named = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|list| list.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
}

/// Enters a number by hand, or what is known of it.
///
/// For numbers that no notification has spoken of yet, so that the first change
/// can be told with the limit before it. What is entered counts from now on,
/// makes no event, and stands in the number's history. What is left out stays
/// as it is.
#[utoipa::path(put, path = "/v1/accounts/{accountId}/phone-numbers/{phoneNumber}",
    operation_id = "putPhoneNumber", request_body = wire::PutNumber,
    responses(
        (status = 200, description = "Changed", body = wire::Number),
        (status = 201, description = "Entered", body = wire::Number),
        (status = 422, description = "Not a business account of this account", body = wire::Problem,
            content_type = "application/problem+json")),
    security(("bearer" = ["operator", "account"])))]
async fn put(
    Owner(account): Owner,
    State(app): State<App>,
    Id(PhoneNumber(number)): Id<PhoneNumber>,
    Input(wanted): Input<wire::PutNumber>,
) -> Result<Response, Problem> {
    let business_account =
        wanted.business_account_id.parse().map_err(|error| Problem::field("businessAccountId", error))?;
    let flagged = wanted.flagged.map(|flagged| if flagged { "FLAGGED" } else { "UNFLAGGED" }.to_owned());
    let given = [
        (What::Limit, wanted.limit),
        (What::PortfolioLimit, wanted.portfolio_limit),
        (What::Throughput, wanted.throughput),
        (What::Flagged, flagged),
        (What::Rating, wanted.rating),
        (What::Status, wanted.status),
    ];
    let mut values = Vec::new();
    for (what, text) in given {
        if let Some(text) = text {
            values.push((what, Word::new(&said(what, text)?)));
        }
    }
    let entry = NumberEntry {
        account: account.id,
        number: number.clone(),
        business_account,
        entered: ByHand { values },
        now: app.env.clock.now(),
    };
    let status = match app.store.put_number(entry).await? {
        Entered::New => StatusCode::CREATED,
        Entered::Known => StatusCode::OK,
        Entered::UnknownBusinessAccount => {
            return Err(Problem::new(
                Code::UnknownBusinessAccount,
                "the business account is not registered to this account",
            )
            .hint("an operator registers it with PUT /v1/business-accounts/{businessAccountId}"));
        }
    };
    let row = app.store.number(account.id, number).await?;
    Ok(shown(status, row.ok_or_else(|| Problem::not_found("phone number"))?))
}

/// A value as somebody means it. What Meta says may be new to this version; what a
/// person enters and is not known is a slip, and would be told to receivers.
fn said(what: What, text: String) -> Result<String, Problem> {
    const THROUGHPUTS: [&str; 2] = ["STANDARD", "HIGH"];
    const RATINGS: [&str; 5] = ["GREEN", "YELLOW", "RED", "NA", "UNKNOWN"];
    let one_of = |words: &[&str]| {
        let word = text.trim().to_ascii_uppercase();
        let rule = || format!("must be one of {}", words.join(", "));
        if words.contains(&word.as_str()) { Ok(word) } else { Err(Problem::field(what.as_str(), rule())) }
    };
    match what {
        What::Throughput => one_of(&THROUGHPUTS),
        What::Rating => one_of(&RATINGS),
        What::Limit | What::PortfolioLimit if matches!(Step::of(&text), Step::Other(_)) => {
            let rule = "must be a messaging limit: TIER_2K, 2000, TIER_UNLIMITED, or TIER_NOT_SET";
            Err(Problem::field(what.as_str(), rule))
        }
        What::Limit | What::PortfolioLimit | What::Flagged | What::Status => {
            label(what.as_str(), text, LONGEST_VALUE)
        }
    }
}

/// Retires a number.
///
/// It is listed no more; its history stays. Should anything be said of it for a
/// later time, it is back, with what was known last, and its sequence goes on;
/// introduced anew, by `ONBOARDING` or a reading, it begins anew.
#[utoipa::path(delete, path = "/v1/accounts/{accountId}/phone-numbers/{phoneNumber}",
    operation_id = "deletePhoneNumber",
    responses((status = 204, description = "Retired")),
    security(("bearer" = ["operator", "account"])))]
async fn delete(
    Owner(account): Owner,
    State(app): State<App>,
    Id(PhoneNumber(number)): Id<PhoneNumber>,
) -> Result<StatusCode, Problem> {
    let retired = app.store.delete_number(account.id, number, app.env.clock.now()).await?;
    if retired { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("phone number")) }
}

/// Lists what changed of a number, newest first.
///
/// With and without an event, as far back as events are kept; and that a higher
/// limit was refused, to the number or its business account.
#[utoipa::path(get, path = "/v1/accounts/{accountId}/phone-numbers/{phoneNumber}/history",
    operation_id = "getPhoneNumberHistory", params(wire::ListQuery),
    responses((status = 200, description = "A page of changes", body = wire::Page<wire::HistoryItem>)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn history(
    Scope(account): Scope,
    State(app): State<App>,
    Id(PhoneNumber(number)): Id<PhoneNumber>,
    Params(query): Params<wire::ListQuery>,
) -> Result<Json<wire::Page<wire::HistoryItem>>, Problem> {
    const LISTING: &str = "history";
    let before = paging::place(LISTING, query.cursor.as_deref())?;
    let query = HistoryQuery { account: account.id, number, before, limit: paging::limit(query.limit)? };
    let page = app.store.history(query).await?.ok_or_else(|| Problem::not_found("phone number"))?;
    let next_cursor = page.next.map(|place| paging::cursor(LISTING, place));
    Ok(Json(wire::Page { items: page.items.into_iter().map(wire::HistoryItem::from).collect(), next_cursor }))
}
