//! What a receiver is asked, in this order: what it must take, what it must refuse, what it must survive.

use super::letter::{Desk, Letter};

/// What must come of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// A success: 200 to 299.
    Taken,
    /// A refusal: 400 to 499.
    Refused,
    /// Any answer but a failure of its own, or a closed connection.
    Survived,
}

/// One thing that is asked.
pub(super) struct Check {
    /// Its name.
    pub(super) name: &'static str,
    /// What is sent.
    pub(super) sends: &'static str,
    /// What must come of each letter.
    pub(super) wants: Wants,
    /// How to mend it.
    pub(super) hint: &'static str,
    /// What is sent, one after the other.
    pub(super) letters: fn(&Desk) -> Vec<Letter>,
}

const SIGNED: &str = "verify webhook-signature over the bytes of the body as they came, with a library of Standard Webhooks, \
and answer 401 if it does not match";

const FRESH: &str = "refuse a webhook-timestamp more than five minutes off, or an old request can be played again; the \
libraries of Standard Webhooks do";

/// An hour, in seconds.
const HOUR: i64 = 3600;

/// More than any event has; a receiver that reads it all is asked for more memory than it should give.
const OVERSIZED: usize = 6 << 20;

/// An event of this size may come.
const LARGE: usize = 60 << 10;

/// All checks. The first is sent again by `repeated`.
pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "genuine",
        sends: "a genuine delivery",
        wants: Wants::Taken,
        hint: "is it the secret of this webhook, and is the signature made over the bytes of the body as they came?",
        letters: |desk| vec![desk.first()],
    },
    Check {
        name: "rotation",
        sends: "two signatures, the first by another secret",
        wants: Wants::Taken,
        hint: "webhook-signature may hold several signatures with blanks between them: one that matches is enough",
        letters: |desk| vec![desk.news().also_signed_by_another()],
    },
    Check {
        name: "new-values",
        sends: "values and members that are not listed yet",
        wants: Wants::Taken,
        hint: "expect values that are not listed, and ignore members that you don't know",
        letters: |desk| vec![desk.novel()],
    },
    Check {
        name: "other-event",
        sends: "an event of another type, with rawEvent",
        wants: Wants::Taken,
        hint: "answer 2xx to events that you don't handle: a refusal makes them come again",
        letters: |desk| vec![desk.raw(64)],
    },
    Check {
        name: "large",
        sends: "an event of 60 KiB",
        wants: Wants::Taken,
        hint: "raise the limit of the body's size: an event may have 64 KiB and more",
        letters: |desk| vec![desk.raw(LARGE)],
    },
    Check {
        name: "wrong-secret",
        sends: "a delivery signed with another secret",
        wants: Wants::Refused,
        hint: SIGNED,
        letters: |desk| vec![desk.news().signed_by_another()],
    },
    Check {
        name: "altered-body",
        sends: "a body that was altered after it was signed",
        wants: Wants::Refused,
        hint: SIGNED,
        letters: |desk| vec![desk.news().altered()],
    },
    Check {
        name: "other-id",
        sends: "a webhook-id that was not signed",
        wants: Wants::Refused,
        hint: "the id is part of what is signed: webhook-id, webhook-timestamp and the body, joined by dots",
        letters: |desk| vec![desk.news().with_header("webhook-id", "01971800-0000-7000-8000-000000000000")],
    },
    Check {
        name: "unsigned",
        sends: "a delivery without the headers of a signature, and one without any signature in it",
        wants: Wants::Refused,
        hint: "answer 401 to what has no webhook-id, webhook-timestamp or webhook-signature, and to an empty one",
        letters: |desk| vec![desk.news().unsigned(), desk.news().with_header("webhook-signature", "v1,")],
    },
    Check {
        name: "stale",
        sends: "a delivery signed an hour ago",
        wants: Wants::Refused,
        hint: FRESH,
        letters: |desk| vec![desk.news().signed_at(-HOUR)],
    },
    Check {
        name: "future",
        sends: "a delivery signed an hour ahead",
        wants: Wants::Refused,
        hint: FRESH,
        letters: |desk| vec![desk.news().signed_at(HOUR)],
    },
    Check {
        name: "repeated",
        sends: "the first delivery again, as a second attempt",
        wants: Wants::Taken,
        hint: "answer 2xx to an eventId that you have, and do nothing else: a refusal makes it come again",
        letters: |desk| vec![desk.first().again()],
    },
    Check {
        name: "out-of-order",
        sends: "an event with a gap before it, then an older one, as a replay brings it",
        wants: Wants::Taken,
        hint: "gaps are normal, and older events may come: answer 2xx, and keep what the highest bellwether-sequence said",
        letters: |desk| vec![desk.news().in_sequence(9), desk.news().in_sequence(2)],
    },
    Check {
        name: "slow",
        sends: "a delivery whose body takes three seconds to come",
        wants: Wants::Taken,
        hint: "wait for the whole body, content-length bytes of it: networks are slow at times",
        letters: |desk| vec![desk.news().slowly()],
    },
    Check {
        name: "oversized",
        sends: "a body of 6 MiB",
        wants: Wants::Survived,
        hint: "limit the size of a body and answer 413 beyond it",
        letters: |desk| vec![desk.raw(OVERSIZED)],
    },
    Check {
        name: "genuine-again",
        sends: "a genuine delivery after all of these",
        wants: Wants::Taken,
        hint: "something before this one broke the receiver: look into its log",
        letters: |desk| vec![desk.news()],
    },
];
