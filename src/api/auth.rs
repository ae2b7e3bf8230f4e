//! Who calls, and what they may touch.
//!
//! A caller shows an API key with the request, or a browser shows a session that a key
//! began ([`session`]): what either may do is the key's. [`guard`] stands before every native
//! route and knows the caller; a handler
//! then names what it needs as an argument: [`Operator`], [`Scope`] (the
//! account in the path, if the caller may see it) or [`Owner`] (the same, and
//! more than reading). None of these can be had without the judgement.
//! Another account's id looks like one that does not exist.

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method};
use axum::middleware::Next;
use axum::response::Response;

use super::errors::{Code, Problem};
use super::session::{self, KeptKey, Session};
use super::{App, key};
use crate::model::account::{Account, ApiKey, Role};
use crate::model::id::{AccountId, IdError};
use crate::secrets;
use crate::store;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// An operator: sees and does everything.
    Operator,
    /// An account: sees and does everything of its own.
    Account(AccountId),
    /// Someone who reads what is an account's.
    Reader(AccountId),
}

impl Caller {
    /// The account the caller is confined to.
    pub(super) fn account(self) -> Option<AccountId> {
        match self {
            Self::Operator => None,
            Self::Account(id) | Self::Reader(id) => Some(id),
        }
    }

    fn of(role: Role, account: Option<AccountId>) -> Option<Self> {
        match (role, account) {
            (Role::Operator, None) => Some(Self::Operator),
            (Role::Account, Some(id)) => Some(Self::Account(id)),
            (Role::Read, Some(id)) => Some(Self::Reader(id)),
            (Role::Operator, Some(_)) | (Role::Account | Role::Read, None) => None,
        }
    }
}

/// Why a caller is turned away; each API says it in its own words.
#[derive(Debug)]
pub(super) enum Denied {
    /// No key and no session, or none that is valid: which of these is not told.
    Unauthenticated,
    /// A valid key or session that may not do this.
    Forbidden(&'static str),
    /// No such account, or another's.
    NoAccount,
    /// The path's account id is none.
    Malformed(IdError),
    /// The store did not say.
    Store(store::Error),
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unauthenticated => {
                Self::new(Code::Unauthenticated, "this needs a valid API key").hint(HOW_TO_AUTHENTICATE)
            }
            Denied::Forbidden(why) => Self::new(Code::Forbidden, why),
            Denied::NoAccount => Self::not_found("account"),
            Denied::Malformed(error) => Self::parameter("accountId", error),
            Denied::Store(error) => error.into(),
        }
    }
}

/// What to do about a 401.
pub(super) const HOW_TO_AUTHENTICATE: &str = "send the header 'Authorization: Bearer <API key>'";
const READ_ONLY: &str = "a key of role 'read' may only read; use one of role 'account'";
const OPERATORS_ONLY: &str = "this needs a key of role 'operator'";
const NO_SECRETS: &str = "a key of role 'read' sees no secrets; use one of role 'account'";

/// Stands before every native route.
pub(super) async fn guard(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let caller = authenticate(&app, request.method(), request.headers()).await?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Who calls, unless the key is none or may not use this method.
pub(super) async fn authenticate(app: &App, method: &Method, headers: &HeaderMap) -> Result<Caller, Denied> {
    let caller = identify(app, method, headers).await?.holder.caller;
    let reads = method == Method::GET || method == Method::HEAD;
    match caller {
        Caller::Reader(_) if !reads => Err(Denied::Forbidden(READ_ONLY)),
        Caller::Reader(_) | Caller::Account(_) | Caller::Operator => Ok(caller),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let only = all.next().filter(|_| all.next().is_none())?;
    let (scheme, text) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(text.trim())
}

/// A caller that is known, and by what.
pub(super) struct Known {
    pub(super) holder: Holder,
    /// The session that was shown in place of a key.
    pub(super) session: Option<Session>,
}

/// Who calls, whatever this method may be to them. Where there is `Authorization`, a
/// session counts for nothing.
pub(super) async fn identify(app: &App, method: &Method, headers: &HeaderMap) -> Result<Known, Denied> {
    if headers.contains_key(AUTHORIZATION) {
        return Ok(Known { holder: holder_of_bearer(app, headers).await?, session: None });
    }
    let session = session::used(app, method, headers)?;
    Ok(Known { holder: holder_of_session(app, &session).await?, session: Some(session) })
}

/// Someone with a key.
pub(super) struct Holder {
    pub(super) caller: Caller,
    /// `None`: the operator's key of the configuration.
    pub(super) key: Option<ApiKey>,
}

impl Holder {
    const OPERATOR: Self = Self { caller: Caller::Operator, key: None };

    fn of(key: ApiKey) -> Result<Self, Denied> {
        let caller = Caller::of(key.role, key.account).ok_or(Denied::Unauthenticated)?;
        Ok(Self { caller, key: Some(key) })
    }
}

/// Whose key is shown.
pub(super) async fn holder_of_bearer(app: &App, headers: &HeaderMap) -> Result<Holder, Denied> {
    let text = bearer(headers).ok_or(Denied::Unauthenticated)?;
    if app.operator_key.as_ref().is_some_and(|operators| secrets::equal(operators, text)) {
        return Ok(Holder::OPERATOR);
    }
    let id = key::id(text).ok_or(Denied::Unauthenticated)?;
    let found = app.store.key(id.to_owned()).await.map_err(Denied::Store)?;
    let (key, hash) = found.ok_or(Denied::Unauthenticated)?;
    if !key::same(&hash, &key::hash(text)) {
        return Err(Denied::Unauthenticated);
    }
    Holder::of(key)
}

/// By whose key a session was begun, as that key is now.
async fn holder_of_session(app: &App, session: &Session) -> Result<Holder, Denied> {
    let KeptKey::Stored(id) = &session.key else { return Ok(Holder::OPERATOR) };
    let found = app.store.key(id.clone()).await.map_err(Denied::Store)?;
    Holder::of(found.ok_or(Denied::Unauthenticated)?.0)
}

/// What a caller has shown, to be judged again while its answer goes on.
pub(super) struct Shown(HeaderMap);

impl Shown {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let of =
            |name: HeaderName| headers.get_all(&name).iter().map(move |value| (name.clone(), value.clone()));
        Self(of(AUTHORIZATION).chain(of(COOKIE)).collect())
    }

    /// Whether it still may read what is that account's. While the store does
    /// not say, nothing is known against it.
    pub(super) async fn still_holds(&self, app: &App, account: AccountId) -> bool {
        match self.holder(app).await {
            Ok(holder) => holder.caller.account().is_none_or(|own| own == account),
            Err(Denied::Store(_)) => true,
            Err(_) => false,
        }
    }

    async fn holder(&self, app: &App) -> Result<Holder, Denied> {
        if self.0.contains_key(AUTHORIZATION) {
            return holder_of_bearer(app, &self.0).await;
        }
        let session = session::held(app, &self.0).ok_or(Denied::Unauthenticated)?;
        holder_of_session(app, &session).await
    }
}

/// The account in the path, if the caller may see it.
pub(super) async fn account_in_path(app: &App, parts: &mut Parts) -> Result<(Caller, Account), Denied> {
    let caller = caller(parts)?;
    let text = path_param(parts, app, "accountId").await.unwrap_or_default();
    let id: AccountId = text.parse().map_err(Denied::Malformed)?;
    if caller.account().is_some_and(|own| own != id) {
        return Err(Denied::NoAccount);
    }
    let account = app.store.account(id).await.map_err(Denied::Store)?;
    Ok((caller, account.ok_or(Denied::NoAccount)?))
}

/// A route that no guard stands before has no caller: it is closed.
fn caller(parts: &Parts) -> Result<Caller, Denied> {
    parts.extensions.get::<Caller>().copied().ok_or(Denied::Unauthenticated)
}

/// A parameter of the path, decoded.
pub(super) async fn path_param(parts: &mut Parts, app: &App, name: &str) -> Option<String> {
    let all = RawPathParams::from_request_parts(parts, app).await.ok()?;
    all.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(caller(parts)?)
    }
}

/// The caller is an operator.
pub(super) struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        match caller(parts)? {
            Caller::Operator => Ok(Self),
            Caller::Account(_) | Caller::Reader(_) => Err(Denied::Forbidden(OPERATORS_ONLY).into()),
        }
    }
}

/// The account in the path; the caller may see it.
pub(super) struct Scope(pub(super) Account);

impl FromRequestParts<App> for Scope {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let (_, account) = account_in_path(app, parts).await?;
        Ok(Self(account))
    }
}

/// The account in the path; the caller may do there what it likes, and see its
/// secrets.
pub(super) struct Owner(pub(super) Account);

impl FromRequestParts<App> for Owner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match account_in_path(app, parts).await? {
            (Caller::Reader(_), _) => Err(Denied::Forbidden(NO_SECRETS).into()),
            (Caller::Operator | Caller::Account(_), account) => Ok(Self(account)),
        }
    }
}
