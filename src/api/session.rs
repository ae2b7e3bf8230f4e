//! Sessions: how a browser calls. It shows an API key once and gets a cookie that
//! no script can read; the key itself is kept nowhere in the browser.
//!
//! A browser sends its cookies by itself, whoever made it ask. So what comes with a
//! cookie alone must be shown to come from our own page: the cookie is `SameSite=Strict`,
//! the browser says where the request was made (`Sec-Fetch-Site`, else `Origin`), and
//! what changes anything carries a token that only our page could read. A request with
//! `Authorization` needs none of this: nobody else's page can add that header.

mod kept;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{COOKIE, HOST, HeaderName, ORIGIN, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use secrecy::ExposeSecret;
use url::Url;

use super::auth::{Denied, Holder, Known, holder_of_bearer, identify};
use super::errors::Problem;
use super::input::Nothing;
use super::openapi::Routes;
use super::{App, wire};
use crate::secrets;
pub(super) use kept::{KeptKey, Session, Sessions};

/// `__Host-`: set by this very host, over TLS (or on this machine), for all of it.
const COOKIE_NAME: &str = "__Host-bellwether";

const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const ELSEWHERE: &str = "a session is used by this server's own pages only; other clients send an API key";
const NO_TOKEN: &str =
    "with a session, what changes anything needs the header X-CSRF-Token: GET /v1/session has its value";

/// The routes. They judge for themselves: a key of role `read` may sign in and out.
pub(super) fn register(routes: Routes) -> Routes {
    routes
        .chapter("Sessions")
        .add::<__path_begin, _, _>(begin)
        .add::<__path_show, _, _>(show)
        .add::<__path_end, _, _>(end)
}

/// Begins a session with the API key that is shown.
///
/// For browsers: the answer sets the cookie `__Host-bellwether`, which stands for the key until the
/// session ends: an hour after it was last used, 12 hours after it began, when the key is deleted, or when the server
/// restarts. A session that the request's cookie names ends now. With the cookie, what is not GET needs the header
/// `X-CSRF-Token` with the value of `csrfToken`.
#[utoipa::path(post, path = "/v1/session", operation_id = "createSession",
    responses((status = 201, description = "Begun; the cookie is in `Set-Cookie`", body = wire::Session)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn begin(
    Shown(holder): Shown,
    State(app): State<App>,
    headers: HeaderMap,
    _: Nothing,
) -> (StatusCode, [(HeaderName, HeaderValue); 1], Json<wire::Session>) {
    if let Some(before) = cookie(&headers) {
        app.sessions().end(before);
    }
    let key = holder.key.as_ref().map_or(KeptKey::Configured, |key| KeptKey::Stored(key.id.clone()));
    let (id, session) = app.sessions().begin(&app.env.entropy, key, app.env.clock.now());
    let told = told(holder, Some(&session));
    (StatusCode::CREATED, [(SET_COOKIE, set_cookie(&id, kept::LONGEST.as_secs()))], Json(told))
}

/// Says whose key or session it is.
#[utoipa::path(get, path = "/v1/session", operation_id = "getSession",
    responses((status = 200, description = "Who calls", body = wire::Session)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn show(known: Known) -> Json<wire::Session> {
    Json(told(known.holder, known.session.as_ref()))
}

/// Ends the session of the request's cookie.
#[utoipa::path(delete, path = "/v1/session", operation_id = "deleteSession",
    responses((status = 204, description = "Ended, if there was one")),
    security(("bearer" = ["operator", "account", "read"])))]
async fn end(
    _: Known,
    State(app): State<App>,
    headers: HeaderMap,
    _: Nothing,
) -> (StatusCode, [(HeaderName, HeaderValue); 1]) {
    if let Some(id) = cookie(&headers) {
        app.sessions().end(id);
    }
    (StatusCode::NO_CONTENT, [(SET_COOKIE, set_cookie("", 0))])
}

fn set_cookie(id: &str, seconds: u64) -> HeaderValue {
    let text = format!("{COOKIE_NAME}={id}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    HeaderValue::from_str(&text).expect("an id is base64")
}

/// The one session id among the cookies; two are none.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let named = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut ours = named.filter_map(|(name, id)| (name == COOKIE_NAME).then_some(id));
    ours.next().filter(|_| ours.next().is_none())
}

/// The session of the request's cookie, if that is enough for this request; it is
/// used by that.
pub(super) fn used(app: &App, method: &Method, headers: &HeaderMap) -> Result<Session, Denied> {
    let id = cookie(headers).ok_or(Denied::Unauthenticated)?;
    let now = app.env.clock.now();
    let session = app.sessions().find(id, now).ok_or(Denied::Unauthenticated)?;
    let safe = method == Method::GET || method == Method::HEAD;
    if !is_own_page(headers, safe) {
        return Err(Denied::Forbidden(ELSEWHERE));
    }
    let token = headers.get(CSRF).and_then(|value| value.to_str().ok());
    if !safe && !token.is_some_and(|token| secrets::equal(&session.csrf, token)) {
        return Err(Denied::Forbidden(NO_TOKEN));
    }
    app.sessions().used(id, now);
    Ok(session)
}

/// The same for what only goes on, which is no use: nobody may be looking.
pub(super) fn held(app: &App, headers: &HeaderMap) -> Option<Session> {
    app.sessions().find(cookie(headers)?, app.env.clock.now())
}

/// Whether the browser says that a page of this server asks. Every browser says so of
/// what may change something; of what is safe, old ones say nothing.
fn is_own_page(headers: &HeaderMap, safe: bool) -> bool {
    if let Some(site) = headers.get(FETCH_SITE) {
        return site == "same-origin" || (safe && site == "none");
    }
    let Some(origin) = headers.get(ORIGIN) else { return safe };
    let origin = origin.to_str().ok().and_then(|text| Url::parse(text).ok());
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    let asked = |scheme: &str| Url::parse(&format!("{scheme}://{}", host?)).ok();
    origin.is_some_and(|origin| asked(origin.scheme()).is_some_and(|asked| asked.origin() == origin.origin()))
}

/// The caller shows a key itself.
struct Shown(Holder);

impl FromRequestParts<App> for Shown {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Ok(Self(holder_of_bearer(app, &parts.headers).await?))
    }
}

impl FromRequestParts<App> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Ok(identify(app, &parts.method, &parts.headers).await?)
    }
}

/// What a caller is told of itself.
fn told(holder: Holder, session: Option<&Session>) -> wire::Session {
    let of_session = session.map(|session| wire::SessionTerms {
        csrf_token: session.csrf.expose_secret().to_owned(),
        idle_until: session.idle_until().to_string(),
        ends_at: session.ends_at().to_string(),
    });
    wire::Session::new(holder.key, of_session)
}
