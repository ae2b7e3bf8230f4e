//! Deliveries as they are sent, and ways to spoil them.

use std::cell::Cell;
use std::time::Duration;

use crate::env::{Clock, Env};
use crate::model::time::Timestamp;
use crate::policy::signature::{WebhookKey, sign_webhook};

/// Nobody's account, business account and number.
const ACCOUNT: &str = "00000000-0000-4000-8000-000000000000";
const BUSINESS_ACCOUNT: &str = "100000000000000";
const NUMBER: &str = "15550000000";

/// Where letters are written.
pub(super) struct Desk {
    key: WebhookKey,
    other: WebhookKey,
    clock: Clock,
    /// Random, for ids that no run before has used.
    run: u64,
    written: Cell<u64>,
}

impl Desk {
    pub(super) fn new(key: WebhookKey, env: &Env) -> Self {
        let mut random = [0; 32];
        for part in random.chunks_exact_mut(8) {
            part.copy_from_slice(&env.entropy.u64().to_be_bytes());
        }
        let other = WebhookKey::parse(&WebhookKey::text(random)).expect("a secret of 32 bytes is one");
        Self { key, other, clock: env.clock.clone(), run: env.entropy.u64(), written: Cell::new(0) }
    }

    /// The first letter, the same each time.
    pub(super) fn first(&self) -> Letter {
        self.letter(0, "phone_number_quality_update", &quality("UPGRADE", "TIER_10K", ""))
    }

    /// Another letter with an event of its own.
    pub(super) fn news(&self) -> Letter {
        self.letter(self.next(), "phone_number_quality_update", &quality("DOWNGRADE", "TIER_1K", ""))
    }

    /// One with what is not listed.
    pub(super) fn novel(&self) -> Letter {
        let details = quality("A_CHANGE_OF_TOMORROW", "TIER_7K", r#","novel":{"of":["tomorrow"]}"#);
        self.letter(self.next(), "phone_number_quality_update", &details)
    }

    /// One with an event that is not modelled, of about so many bytes.
    pub(super) fn raw(&self, bytes: usize) -> Letter {
        let text = "x".repeat(bytes);
        let details =
            format!(r#"{{"rawEvent":{{"field":"a_field_of_tomorrow","value":{{"text":"{text}"}}}}}}"#);
        self.letter(self.next(), "a_field_of_tomorrow", &details)
    }

    fn next(&self) -> u64 {
        self.written.set(self.written.get() + 1);
        self.written.get()
    }

    fn letter(&self, nth: u64, event_type: &str, details: &str) -> Letter {
        let (run, now) = (self.run, self.clock.wall());
        let id = format!("{:08x}-{:04x}-7000-8000-{nth:012x}", run >> 32, run & 0xffff);
        let body = format!(
            r#"{{"eventId":"{id}","timestamp":"{now}","provider":"WhatsApp","businessAccountId":"{BUSINESS_ACCOUNT}","accountId":"{ACCOUNT}","eventType":"{event_type}","eventDetails":{details}}}"#
        );
        let sequence = nth + 1;
        Letter {
            keys: vec![self.key.clone()],
            other: self.other.clone(),
            id,
            at: now,
            attempt: 1,
            sequence,
            body: body.into_bytes(),
            tampering: Tampering::None,
            pause: Duration::ZERO,
        }
    }
}

fn quality(event: &str, limit: &str, more: &str) -> String {
    format!(
        r#"{{"displayPhoneNumber":"{NUMBER}","meta":{{"event":"{event}","currentLimit":"{limit}"{more}}}}}"#
    )
}

/// A delivery to be sent.
pub(super) struct Letter {
    keys: Vec<WebhookKey>,
    other: WebhookKey,
    id: String,
    at: Timestamp,
    attempt: u32,
    sequence: u64,
    body: Vec<u8>,
    tampering: Tampering,
    pause: Duration,
}

/// What happens to a letter once it is signed.
#[derive(PartialEq, Eq)]
enum Tampering {
    None,
    /// Its body becomes another of the same length.
    Body,
    /// A header gets another value.
    Header(&'static str, &'static str),
    /// The headers of the signature are gone.
    Unsigned,
}

/// A letter in its envelope.
pub(super) struct Posted {
    /// Names and values.
    pub(super) headers: Vec<(&'static str, String)>,
    /// All of it.
    pub(super) body: Vec<u8>,
    /// How long to wait between its four parts.
    pub(super) pause: Duration,
}

impl Letter {
    pub(super) fn again(self) -> Self {
        Self { attempt: self.attempt + 1, ..self }
    }

    pub(super) fn in_sequence(self, sequence: u64) -> Self {
        Self { sequence, ..self }
    }

    pub(super) fn signed_by_another(self) -> Self {
        Self { keys: vec![self.other.clone()], ..self }
    }

    pub(super) fn also_signed_by_another(mut self) -> Self {
        self.keys.insert(0, self.other.clone());
        self
    }

    pub(super) fn signed_at(self, seconds_from_now: i64) -> Self {
        let at = Timestamp::from_ms(self.at.ms() + seconds_from_now * 1000);
        Self { at, ..self }
    }

    pub(super) fn altered(self) -> Self {
        Self { tampering: Tampering::Body, ..self }
    }

    pub(super) fn unsigned(self) -> Self {
        Self { tampering: Tampering::Unsigned, ..self }
    }

    pub(super) fn with_header(self, name: &'static str, value: &'static str) -> Self {
        Self { tampering: Tampering::Header(name, value), ..self }
    }

    pub(super) fn slowly(self) -> Self {
        Self { pause: Duration::from_secs(1), ..self }
    }

    /// Signs it, and spoils it if that was asked for.
    pub(super) fn post(mut self) -> Posted {
        let signature = sign_webhook(&self.keys, &self.id, self.at, &self.body);
        let mut headers = vec![
            ("webhook-id", self.id),
            ("webhook-timestamp", self.at.seconds().to_string()),
            ("webhook-signature", signature),
            ("bellwether-attempt", self.attempt.to_string()),
            ("bellwether-sequence", self.sequence.to_string()),
            ("bellwether-test", "true".to_owned()),
        ];
        match self.tampering {
            Tampering::None => {}
            Tampering::Body => {
                let at = self.body.windows(7).position(|part| part == b"TIER_1K");
                let digit = at.expect("the news has that limit") + 5;
                self.body[digit] = b'9';
            }
            Tampering::Header(name, value) => {
                headers
                    .iter_mut()
                    .filter(|header| header.0 == name)
                    .for_each(|header| value.clone_into(&mut header.1));
            }
            Tampering::Unsigned => headers.retain(|(name, _)| !name.starts_with("webhook-")),
        }
        Posted { headers, body: self.body, pause: self.pause }
    }
}
