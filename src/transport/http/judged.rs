//! URLs as judged, kept so that a webhook's is parsed once and not at each
//! attempt. A judgement of the text depends on the text and the rules alone: when
//! the rules change all are forgotten. What a name leads to is judged anew
//! whenever a connection is made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::uri::{PathAndQuery, Uri};
use url::Url;

use crate::policy::address::{Refusal, Rules, Target};

/// At most so many are kept; beyond that they are forgotten and judged again.
const MOST: usize = 20_000;

/// A URL that may be sent to.
pub(super) struct Destination {
    /// As judged.
    pub(super) target: Target,
    /// The same in the client's type.
    pub(super) uri: Uri,
}

/// Judgements made so far.
#[derive(Default)]
pub(super) struct Judged(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The rules they were made by.
    rules: Arc<Rules>,
    judgements: HashMap<String, Arc<Destination>>,
}

impl Judged {
    /// What the rules say of `url`.
    pub(super) fn judge(&self, rules: &Arc<Rules>, url: &str) -> Result<Arc<Destination>, Refusal> {
        if let Some(known) = self.known(rules).judgements.get(url) {
            return Ok(Arc::clone(known));
        }
        let target = rules.judge_url(url)?;
        let uri = uri(&target.url).ok_or(Refusal::Malformed)?;
        let destination = Arc::new(Destination { target, uri });
        let mut known = self.known(rules);
        if known.judgements.len() >= MOST {
            known.judgements.clear();
        }
        known.judgements.insert(url.to_owned(), Arc::clone(&destination));
        Ok(destination)
    }

    /// What is known by these rules.
    fn known(&self, rules: &Arc<Rules>) -> std::sync::MutexGuard<'_, Known> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&known.rules, rules) {
            *known = Known { rules: Arc::clone(rules), judgements: HashMap::new() };
        }
        known
    }
}

/// The judged URL in the client's type, put together from its parts: a second
/// parser of the text could understand another host.
pub(super) fn uri(url: &Url) -> Option<Uri> {
    let authority = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str()?),
        None => url.host_str()?.to_owned(),
    };
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let path = PathAndQuery::try_from(path).ok()?;
    Uri::builder().scheme(url.scheme()).authority(authority).path_and_query(path).build().ok()
}
