//! Which webhooks an event goes to (contract.md 5.2).

use crate::model::id::{SubAccountId, WebhookKey};
use crate::model::webhook::{Scope, WebhookType};

/// What routing needs to know of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which webhook.
    pub key: WebhookKey,
    /// Whose events it gets.
    pub scope: Scope,
    /// What for.
    pub kind: WebhookType,
    /// Whether anything is sent.
    pub enabled: bool,
}

/// The webhooks that get the events of a business account of `sub_account`:
/// enabled, for business-management updates, of all sub-accounts or of this
/// one. Both may fire.
pub fn route<'a>(
    candidates: &'a [Candidate],
    sub_account: Option<&'a SubAccountId>,
) -> impl Iterator<Item = WebhookKey> + 'a {
    candidates.iter().filter(move |webhook| receives(webhook, sub_account)).map(|webhook| webhook.key)
}

fn receives(webhook: &Candidate, sub_account: Option<&SubAccountId>) -> bool {
    let in_scope = match &webhook.scope {
        Scope::All => true,
        Scope::SubAccount(id) => Some(id) == sub_account,
    };
    webhook.enabled && webhook.kind == WebhookType::Cabm && in_scope
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(key: i64, scope: &str, kind: WebhookType, enabled: bool) -> Candidate {
        Candidate { key: WebhookKey(key), scope: scope.parse().unwrap(), kind, enabled }
    }

    #[test]
    fn all_enabled_cabm_webhooks_in_scope_get_an_event_and_no_other() {
        let webhooks = [
            webhook(1, "*", WebhookType::Cabm, true),
            webhook(2, "shop", WebhookType::Cabm, true),
            webhook(3, "other", WebhookType::Cabm, true),
            webhook(4, "*", WebhookType::Cadr, true),
            webhook(5, "*", WebhookType::Msg, true),
            webhook(6, "*", WebhookType::Cabm, false),
        ];
        let shop = "shop".parse().unwrap();
        let routed = |sub| route(&webhooks, sub).map(|key| key.0).collect::<Vec<_>>();
        assert_eq!(routed(Some(&shop)), [1, 2]);
        assert_eq!(routed(None), [1]);
    }
}
