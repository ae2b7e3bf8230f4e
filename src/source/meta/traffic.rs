//! Which fields are message traffic rather than business management.
//!
//! A Meta app has one callback URL, so its customers' messages arrive here too
//! (contract.md 3). They are counted and dropped. The list names fields one by
//! one and never by a prefix: a field that Meta invents tomorrow, say
//! `messaging_limit_update`, must be passed on rather than guessed away.

/// Fields whose values are conversations, calls or what single end users do.
/// In Meta's words: messages and their statuses; copies of what was sent from
/// elsewhere; what a phone's app syncs; calls; hand-overs between apps; events
/// and preferences of end users; the fields that Messenger has for the same.
const TRAFFIC: [&str; 21] = [
    "messages",
    "message_echoes",
    "message_deliveries",
    "message_reads",
    "message_reactions",
    "message_edits",
    "smb_message_echoes",
    "smb_app_state_sync",
    "history",
    "calls",
    "standby",
    "messaging_handovers",
    "messaging_optins",
    "messaging_postbacks",
    "messaging_referrals",
    "messaging_seen",
    "automatic_events",
    "tracking_events",
    "user_preferences",
    "user_id_update",
    "group_participants_update",
];

/// Whether changes of `field` are message traffic.
pub fn is_traffic(field: &str) -> bool {
    TRAFFIC.contains(&field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_traffic_and_what_is_said_about_templates_or_the_business_is_not() {
        assert!(is_traffic("messages") && is_traffic("calls"));
        for field in [
            "message_template_status_update",
            "messaging_limit_update",
            "business_capability_update",
            "account_alerts",
            "security",
            "flows",
            "group_lifecycle_update",
            "",
        ] {
            assert!(!is_traffic(field), "{field}");
        }
    }
}
