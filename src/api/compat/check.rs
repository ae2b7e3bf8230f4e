//! Judges posted items on their own, before anything stored is looked at. Each
//! refusal names the item: `[3].url: ...`, counted from 0.

use std::collections::BTreeSet;

use axum::http::HeaderValue;

use super::super::{Judge, wire};
use super::refusal::{Code, Refusal};
use crate::model::id::SubAccountId;
use crate::model::webhook::{Scope, WebhookType};
use wire::compat::{OAuth, Webhook, WebhookRef};

/// What stands for a secret that is not shown, and for keeping it.
pub(super) const MASK: &str = "***";

const LONGEST_URL: usize = 2_048;
const LONGEST_TEXT: usize = 4_096;

/// A webhook as asked for: one of an identity.
pub(super) struct Wanted {
    /// Its item, `[3]`.
    pub place: String,
    pub scope: Scope,
    pub kind: WebhookType,
    pub url: String,
    pub enabled: bool,
    pub authorization: Wish,
}

impl Wanted {
    /// Whether it is for one sub-account only.
    pub(super) fn names_sub_account(&self) -> bool {
        matches!(self.scope, Scope::SubAccount(_))
    }
}

/// The authorisation asked for; a kept secret is the stored one.
#[derive(Clone)]
pub(super) enum Wish {
    None,
    Header(String),
    KeepHeader,
    OAuth(OAuth),
    KeepOAuthSecret(OAuth),
}

/// Every webhook of an array: an item without a type is two (contract.md 2).
pub(super) fn webhooks(judge: &Judge, items: Vec<Webhook>) -> Result<Vec<Wanted>, Refusal> {
    let mut wanted = Vec::with_capacity(items.len());
    let mut seen = BTreeSet::new();
    for (at, item) in items.into_iter().enumerate() {
        let place = format!("[{at}]");
        let scope = scope(&place, &item.sub_account_id)?;
        url(judge, &format!("{place}.url"), &item.url)?;
        let authorization = authorization(judge, &place, item.http_authorization, item.oauth)?;
        for kind in kinds(item.r#type) {
            if !seen.insert((scope.clone(), kind)) {
                return Err(repeated(&place, &scope, kind));
            }
            wanted.push(Wanted {
                place: place.clone(),
                scope: scope.clone(),
                kind,
                url: item.url.clone(),
                enabled: item.enabled.unwrap_or(true),
                authorization: authorization.clone(),
            });
        }
    }
    Ok(wanted)
}

/// A webhook that is to be deleted, and the item that names it.
pub(super) struct Named {
    place: String,
    scope: Scope,
    kind: WebhookType,
}

impl Named {
    /// What the store knows it by.
    pub(super) fn identity(&self) -> (Scope, WebhookType) {
        (self.scope.clone(), self.kind)
    }
}

/// The webhooks that an array names.
pub(super) fn identities(items: Vec<WebhookRef>) -> Result<Vec<Named>, Refusal> {
    let mut named = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, item) in items.into_iter().enumerate() {
        let place = format!("[{at}]");
        let scope = scope(&place, &item.sub_account_id)?;
        for kind in kinds(item.r#type) {
            if !seen.insert((scope.clone(), kind)) {
                return Err(repeated(&place, &scope, kind));
            }
            named.push(Named { place: place.clone(), scope: scope.clone(), kind });
        }
    }
    Ok(named)
}

/// The webhook to delete that is not there: the one at `at`.
pub(super) fn absent(named: &[Named], at: Option<usize>) -> Refusal {
    let Some(Named { place, scope, kind }) = at.and_then(|at| named.get(at)) else {
        return Refusal::new(Code::NotFound, "one of the webhooks is not there; nothing was deleted");
    };
    let rule = format!(
        "there is no webhook of sub-account {} and type {}; nothing was deleted (without a type, CADR and MSG are meant)",
        scope.as_str(),
        kind.as_str()
    );
    Refusal::at(place, Code::NotFound, &rule)
}

/// Refuses sub-accounts that are not the account's. `own` are those that its
/// business accounts name; while they name none, any may be configured, so that
/// webhooks can be there before the first business account is.
pub(super) fn ownership(wanted: &[Wanted], own: &[SubAccountId]) -> Result<(), Refusal> {
    for one in wanted {
        if let Scope::SubAccount(id) = &one.scope
            && !own.is_empty()
            && !own.contains(id)
        {
            let rule = format!("sub-account {id} is none of this account's; use '*' for all of them");
            return Err(Refusal::at(&format!("{}.subAccountId", one.place), Code::NotYours, &rule));
        }
    }
    Ok(())
}

fn scope(place: &str, text: &str) -> Result<Scope, Refusal> {
    text.parse()
        .map_err(|error| Refusal::new(Code::InvalidParameter, format!("{place}.subAccountId: {error}")))
}

fn kinds(kind: Option<wire::compat::WebhookType>) -> Vec<WebhookType> {
    kind.map_or_else(|| vec![WebhookType::Cadr, WebhookType::Msg], |kind| vec![kind.into()])
}

fn repeated(place: &str, scope: &Scope, kind: WebhookType) -> Refusal {
    let rule = format!(
        "sub-account {} with type {} is there twice; without a type, CADR and MSG are meant",
        scope.as_str(),
        kind.as_str()
    );
    Refusal::at(place, Code::InvalidParameter, &rule)
}

fn url(judge: &Judge, place: &str, text: &str) -> Result<(), Refusal> {
    if text.len() > LONGEST_URL {
        return Err(Refusal::at(
            place,
            Code::InvalidUrl,
            &format!("a URL may have at most {LONGEST_URL} bytes"),
        ));
    }
    judge(text).map_err(|refusal| Refusal::url(place, &refusal))
}

fn authorization(
    judge: &Judge,
    place: &str,
    header: Option<String>,
    oauth: Option<OAuth>,
) -> Result<Wish, Refusal> {
    match (header, oauth) {
        (None, None) => Ok(Wish::None),
        (Some(_), Some(_)) => {
            let rule = "httpAuthorization and oauth exclude each other; leave one out";
            Err(Refusal::at(place, Code::InvalidParameter, rule))
        }
        (Some(header), None) if header == MASK => Ok(Wish::KeepHeader),
        (Some(header), None) => {
            // Beyond ASCII, what a header's bytes mean is the receiver's guess.
            let fits = (1..=LONGEST_TEXT).contains(&header.len())
                && header.is_ascii()
                && HeaderValue::from_str(&header).is_ok();
            let rule = format!("must be 1 to {LONGEST_TEXT} visible ASCII characters, blanks and tabs");
            let place = format!("{place}.httpAuthorization");
            if fits {
                Ok(Wish::Header(header))
            } else {
                Err(Refusal::at(&place, Code::InvalidParameter, &rule))
            }
        }
        (None, Some(oauth)) => {
            let place = format!("{place}.oauth");
            url(judge, &format!("{place}.url"), &oauth.url)?;
            let texts = [
                ("clientId", Some(&oauth.client_id)),
                ("clientSecret", Some(&oauth.client_secret)),
                ("scope", oauth.scope.as_ref()),
            ];
            for (name, text) in texts {
                let fits = |text: &String| {
                    (1..=LONGEST_TEXT).contains(&text.len()) && !text.chars().any(char::is_control)
                };
                if !text.is_none_or(fits) {
                    let rule = format!("must be 1 to {LONGEST_TEXT} bytes without control characters");
                    return Err(Refusal::at(&format!("{place}.{name}"), Code::InvalidParameter, &rule));
                }
            }
            let keep = oauth.client_secret == MASK;
            Ok(if keep { Wish::KeepOAuthSecret(oauth) } else { Wish::OAuth(oauth) })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::{UrlRefusal, input};
    use super::*;

    fn judge() -> Judge {
        Arc::new(|url| match url {
            url if url.starts_with("https://") => Ok(()),
            url if url.starts_with("http://") => Err(UrlRefusal::Insecure("use https".into())),
            _ => Err(UrlRefusal::Forbidden("not a URL".into())),
        })
    }

    fn check(json: &str) -> Result<Vec<Wanted>, (Code, String)> {
        let items = input::parse(json.as_bytes()).expect("the sample is well-formed");
        webhooks(&judge(), items).map_err(|refusal| (refusal.code(), refusal.message().to_owned()))
    }

    #[test]
    fn an_item_without_a_type_is_cadr_and_msg_and_enabled() {
        let wanted = check(r#"[{"subAccountId":"*","url":"https://a.example/"}]"#).ok().unwrap();
        let kinds: Vec<_> = wanted.iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [WebhookType::Cadr, WebhookType::Msg]);
        assert!(wanted.iter().all(|one| one.enabled && one.scope == Scope::All));
    }

    #[test]
    fn a_refusal_names_the_item_and_has_its_code() {
        let good = r#"{"subAccountId":"*","url":"https://a.example/","type":"CABM"}"#;
        let cases = [
            (
                r#"{"subAccountId":"a","url":"https://a.example/"}"#,
                Code::InvalidParameter,
                "[1].subAccountId: must",
            ),
            (
                r#"{"subAccountId":"abc","url":"http://a.example/"}"#,
                Code::InsecureProtocol,
                "[1].url: use https",
            ),
            (r#"{"subAccountId":"abc","url":"nowhere"}"#, Code::InvalidUrl, "[1].url: not a URL"),
            (good, Code::InvalidParameter, "[1]: sub-account * with type CABM is there twice"),
            (
                r#"{"subAccountId":"abc","url":"https://a.example/","httpAuthorization":"a\nb"}"#,
                Code::InvalidParameter,
                "[1].httpAuthorization: must be",
            ),
            (
                r#"{"subAccountId":"abc","url":"https://a.example/","httpAuthorization":"x","oauth":{"url":"https://t.example/","clientId":"i","clientSecret":"s","credentialsLocation":"body"}}"#,
                Code::InvalidParameter,
                "[1]: httpAuthorization and oauth",
            ),
            (
                r#"{"subAccountId":"abc","url":"https://a.example/","oauth":{"url":"http://t.example/","clientId":"i","clientSecret":"s","credentialsLocation":"header"}}"#,
                Code::InsecureProtocol,
                "[1].oauth.url: use https",
            ),
            (
                r#"{"subAccountId":"abc","url":"https://a.example/","oauth":{"url":"https://t.example/","clientId":"","clientSecret":"s","credentialsLocation":"header"}}"#,
                Code::InvalidParameter,
                "[1].oauth.clientId: must be",
            ),
        ];
        for (bad, code, message) in cases {
            let Err((found, text)) = check(&format!("[{good},{bad}]")) else { panic!("accepted {bad}") };
            assert_eq!(found, code, "{bad}: {text}");
            assert!(text.starts_with(message), "{bad}: {text}");
        }
    }

    #[test]
    fn lengths_are_bounded_in_bytes() {
        let url = |length: usize| format!("https://a.example/{}", "x".repeat(length - 18));
        let item = |url: &str, auth: &str| {
            check(&format!(r#"[{{"subAccountId":"*","url":"{url}","httpAuthorization":"{auth}"}}]"#))
                .map(drop)
        };
        let (longest, auth) = (url(LONGEST_URL), "a".repeat(LONGEST_TEXT));
        assert_eq!(item(&longest, &auth), Ok(()));
        assert_eq!(item(&url(LONGEST_URL + 1), "a").unwrap_err().0, Code::InvalidUrl);
        assert_eq!(item(&longest, &format!("{auth}a")).unwrap_err().0, Code::InvalidParameter);
    }

    #[test]
    fn a_sub_account_of_another_account_is_refused_once_the_account_has_any() {
        let json = r#"[{"subAccountId":"mine","url":"https://a.example/"},{"subAccountId":"theirs","url":"https://a.example/"}]"#;
        let wanted = check(json).ok().unwrap();
        assert_eq!(ownership(&wanted, &[]), Ok(()));
        let refused = ownership(&wanted, &["mine".parse().unwrap()]).unwrap_err();
        assert_eq!(refused.code(), Code::NotYours);
        assert!(refused.message().starts_with("[1].subAccountId"), "{}", refused.message());
    }
}
