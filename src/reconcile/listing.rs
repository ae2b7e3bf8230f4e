//! One listing of a business account's numbers, page by page: whole, or what kept
//! it. Bounded in pages, in bytes, and in time.
//!
//! Every page is asked for at the configured address, which is put together here
//! from the configuration, the id and a cursor; nothing that an answer says names a
//! host. The token goes into a header, since addresses are logged by whatever is on
//! the way.

use std::time::Duration;

use axum::http::header::{ACCEPT, AUTHORIZATION, RETRY_AFTER, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded::byte_serialize;

use super::{Means, Options};
use crate::model::reading::NumberReading;
use crate::model::reconciliation::{Failure, Trouble};
use crate::model::time::Timestamp;
use crate::policy::reconciliation::{BACK_OFF_AT, COOLING, LONGEST_HOLD, untold_hold};
use crate::policy::retry::asked_wait;
use crate::source::graph::{self, FIELDS, Next, Page, Usage};
use crate::store::reconciliations::Due;
use crate::transport::{Answer, Inquiry, Unanswered};

/// Numbers asked for at once, pages of a listing, bytes of a page: ten times what a
/// hundred numbers take.
const PER_PAGE: usize = 100;
const MOST_PAGES: usize = 100;
const PAGE_BYTES: usize = 512 * 1024;

/// Numbers of a listing, however few pages they come on.
const MOST_NUMBERS: usize = PER_PAGE * MOST_PAGES;

/// For a whole listing.
const LISTING_TIMEOUT: Duration = Duration::from_mins(5);

const APP_USAGE: HeaderName = HeaderName::from_static("x-app-usage");
const BUSINESS_USAGE: HeaderName = HeaderName::from_static("x-business-use-case-usage");

/// A whole listing.
pub(super) struct Listing {
    /// When its first page was asked for.
    pub(super) at: Timestamp,
    /// Each number once.
    pub(super) numbers: Vec<NumberReading>,
    /// Entries that name none.
    pub(super) nameless: u64,
}

/// For how long Meta wants to be left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hold {
    /// About this business account.
    pub(super) alone: Option<Duration>,
    /// With this token.
    pub(super) shared: Option<Duration>,
}

impl Hold {
    pub(super) fn longest(self) -> Option<Duration> {
        self.alone.max(self.shared)
    }
}

/// Reads a listing to its end. What an answer said of limits holds either way.
pub(super) async fn read(
    means: &Means,
    options: &Options,
    due: &Due,
    token: &SecretString,
) -> (Result<Listing, Failure>, Hold) {
    let mut hold = Hold::default();
    let at = means.env.clock.now();
    let pages = pages(means, options, due, token, &mut hold);
    let listed = match tokio::time::timeout(LISTING_TIMEOUT, pages).await {
        Ok(listed) => listed,
        Err(_) => Err(Failure::noted(Trouble::Endless, "it was not read to its end within 5 minutes")),
    };
    let listing = listed.map(|(numbers, nameless)| Listing { at, numbers: graph::once(numbers), nameless });
    (listing, hold)
}

async fn pages(
    means: &Means,
    options: &Options,
    due: &Due,
    token: &SecretString,
    hold: &mut Hold,
) -> Result<(Vec<NumberReading>, u64), Failure> {
    let headers = headers(token)?;
    let (mut numbers, mut nameless, mut cursors) = (Vec::new(), 0, Vec::<String>::new());
    while cursors.len() < MOST_PAGES {
        let inquiry = Inquiry {
            url: url(options, due, cursors.last().map(String::as_str)),
            headers: headers.clone(),
            most_bytes: PAGE_BYTES,
            deadline: options.page_timeout,
        };
        let answer = means.inquirer.inquire(inquiry).await.map_err(unanswered)?;
        let page = page(means, due, &answer, hold)?;
        numbers.extend(page.numbers);
        nameless += page.nameless;
        if numbers.len() > MOST_NUMBERS {
            return Err(Failure::noted(Trouble::Endless, format!("it has more than {MOST_NUMBERS} numbers")));
        }
        match page.next {
            Next::End => return Ok((numbers, nameless)),
            Next::After(cursor) if cursors.contains(&cursor) => {
                return Err(Failure::noted(Trouble::Endless, "its pages go round in a circle"));
            }
            Next::After(_) if hold.longest().is_some() => {
                return Err(Failure::noted(
                    Trouble::Throttled,
                    "little of what Meta allows is left, and there are more pages",
                ));
            }
            Next::After(cursor) => cursors.push(cursor),
        }
    }
    Err(Failure::noted(Trouble::Endless, format!("it has more than {MOST_PAGES} pages")))
}

/// One answer, and what it says of limits.
fn page(means: &Means, due: &Due, answer: &Answer, hold: &mut Hold) -> Result<Page, Failure> {
    let app = told(&answer.headers, &APP_USAGE).map_or_else(Usage::default, graph::of_app);
    let id = due.business_account.as_str();
    let business = told(&answer.headers, &BUSINESS_USAGE).map(|text| graph::of_business(text, id));
    let business = business.unwrap_or_default();
    hold.alone = hold.alone.max(asked_for(business));
    hold.shared = hold.shared.max(asked_for(app));
    let read = graph::read(answer.status, &answer.body);
    if let Err(failure) = &read {
        let now = means.env.clock.wall();
        let said = told(&answer.headers, &RETRY_AFTER).and_then(|text| asked_wait(text, now));
        let said = said.map(|said| said.min(LONGEST_HOLD));
        match failure.trouble {
            Trouble::Throttled => {
                let wanted = said.max(business.regain).max(app.regain);
                let wanted = wanted.unwrap_or_else(|| untold_hold(due.failures.saturating_add(1)));
                // These are counted by business account, all others by app or by token.
                let alone = matches!(failure.codes, (Some(80_000..=80_014), _));
                let concerned = if alone { &mut hold.alone } else { &mut hold.shared };
                *concerned = (*concerned).max(Some(wanted));
            }
            // No limit, but a wish all the same.
            Trouble::Failing => hold.alone = hold.alone.max(said),
            Trouble::TokenExpired
            | Trouble::TokenInvalid
            | Trouble::TokenSealed
            | Trouble::Permission
            | Trouble::NotFound
            | Trouble::Rejected
            | Trouble::Unreachable
            | Trouble::Unreadable
            | Trouble::Endless => {}
        }
    }
    read
}

/// For how long `usage` is reason enough not to ask.
fn asked_for(usage: Usage) -> Option<Duration> {
    usage.regain.or((usage.percent >= BACK_OFF_AT).then_some(COOLING))
}

fn told<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn unanswered(unanswered: Unanswered) -> Failure {
    let Unanswered { class, note } = unanswered;
    Failure::noted(Trouble::Unreachable, format!("{}: {note}", class.as_str()))
}

fn headers(token: &SecretString) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
    let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
    let mut bearer = bearer
        .map_err(|_| Failure::noted(Trouble::TokenInvalid, "it has characters that no header can have"))?;
    bearer.set_sensitive(true);
    let agent = HeaderValue::from_static(concat!("bellwether/", env!("CARGO_PKG_VERSION")));
    let json = HeaderValue::from_static("application/json");
    Ok(vec![(AUTHORIZATION, bearer), (USER_AGENT, agent), (ACCEPT, json)])
}

fn url(options: &Options, due: &Due, after: Option<&str>) -> String {
    let Options { base_url, version, .. } = options;
    let mut url = format!(
        "{base_url}/{version}/{}/phone_numbers?fields={FIELDS}&limit={PER_PAGE}",
        due.business_account.as_str()
    );
    if let Some(after) = after {
        url.push_str("&after=");
        url.extend(byte_serialize(after.as_bytes()));
    }
    url
}
