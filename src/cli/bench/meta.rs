//! Meta's part: signed notifications over real sockets. All of them are
//! written and signed before the clock starts, so that sending costs one write
//! and one read.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ledger::{DIGITS, Ledger, MARK};
use super::wire::Wire;
use crate::policy::signature::MetaKey;

/// Notifications under way at once.
pub(super) const SENDERS: usize = 64;

/// Before a notification that was refused is sent again, and how often it is.
const PAUSE: Duration = Duration::from_millis(50);
const REPEATS: u32 = 1_000;

/// Whom events are about: they go round the accounts, and in each round the
/// numbers, so that neighbours are never of one lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Audience {
    /// The first account.
    pub(super) first: u32,
    /// So many accounts, with a business account and a webhook each.
    pub(super) accounts: u32,
    /// So many numbers of each account.
    pub(super) numbers: u32,
}

impl Audience {
    /// The account that `event` is for.
    pub(super) fn account(self, event: u32) -> u32 {
        self.first + event % self.accounts
    }

    /// The number that `event` is about, as Meta shows it.
    pub(super) fn number(self, event: u32) -> String {
        format!("1{:05}{:07}", self.account(event), event / self.accounts % self.numbers)
    }
}

/// The id of an account.
pub(super) fn account_id(account: u32) -> String {
    format!("be9c4000-0000-4000-8000-{account:012x}")
}

/// The id of an account's business account.
pub(super) fn business_account_id(account: u32) -> String {
    format!("9{account:014}")
}

/// The body of a notification of `events`; their values begin with `mark`.
pub(super) fn body(audience: Audience, events: Range<u32>, mark: &str, seconds: i64) -> String {
    let entries = events.map(|event| {
        format!(
            "{{\"id\":\"{business_account}\",\"time\":{seconds},\"changes\":[{{\"value\":{{\
             \"display_phone_number\":\"{number}\",\"event\":\"UPGRADE\",\"old_limit\":\"TIER_1K\",\
             \"current_limit\":\"{mark}{event:0DIGITS$}\"}},\"field\":\"phone_number_quality_update\"}}]}}",
            business_account = business_account_id(audience.account(event)),
            number = audience.number(event),
        )
    });
    let entries = entries.collect::<Vec<_>>().join(",");
    format!("{{\"object\":\"whatsapp_business_account\",\"entry\":[{entries}]}}")
}

/// A notification, ready to be written.
pub(super) struct Notification {
    request: Vec<u8>,
    events: Range<u32>,
}

/// A busy second: Meta's times go on by one after so many events.
const A_SECOND: u32 = 10_000;

/// Notifications of `each` of `events`, signed with `key`, the last of them at
/// `seconds`.
pub(super) fn notifications(
    audience: Audience,
    events: &Range<u32>,
    each: u32,
    key: &MetaKey,
    seconds: i64,
) -> Vec<Notification> {
    let starts = events.clone().step_by(each as usize);
    let ranges = starts.map(|start| start..events.end.min(start + each));
    let last = events.end;
    ranges
        .map(|events| {
            let before_the_last = i64::from((last - events.start) / A_SECOND);
            let body = body(audience, events.clone(), MARK, seconds - before_the_last);
            let signature = key.sign(body.as_bytes());
            let request = format!(
                "POST /ingest/meta/main HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
                 x-hub-signature-256: {signature}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            Notification { request: request.into_bytes(), events }
        })
        .collect()
}

/// When a notification is sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// As soon as one of the senders has its last answer.
    Closed,
    /// So many a second, whatever the answers.
    Open(u32),
}

/// Sends all `notifications` to `to`; says how often one was refused and sent
/// again.
pub(super) async fn send(
    to: SocketAddr,
    notifications: Vec<Notification>,
    pace: Pace,
    ledger: &Arc<Ledger>,
) -> io::Result<u32> {
    let work = Arc::new(Work { notifications, next: AtomicUsize::new(0), pace, began: Instant::now() });
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (work, ledger) = (Arc::clone(&work), Arc::clone(ledger));
        senders.spawn(async move { work.run(Wire::connect(to).await?, &ledger).await });
    }
    let mut refused = 0;
    while let Some(ended) = senders.join_next().await {
        refused += ended.map_err(io::Error::other)??;
    }
    Ok(refused)
}

struct Work {
    notifications: Vec<Notification>,
    next: AtomicUsize,
    pace: Pace,
    began: Instant,
}

impl Work {
    async fn run(&self, mut wire: Wire, ledger: &Ledger) -> io::Result<u32> {
        let mut refused = 0;
        loop {
            let at = self.next.fetch_add(1, Relaxed);
            let Some(notification) = self.notifications.get(at) else { return Ok(refused) };
            let handed = self.turn(at).await;
            ledger.handed(&notification.events, handed);
            let mut repeats = 0;
            while wire.exchange(&notification.request).await? != 200 {
                repeats += 1;
                if repeats > REPEATS {
                    return Err(io::Error::other("a notification is refused again and again"));
                }
                tokio::time::sleep(PAUSE).await;
            }
            ledger.acknowledged(&notification.events);
            refused += repeats;
        }
    }

    /// Waits for the turn of the notification at `at`; says when it counts as
    /// handed over. One that is late because every sender still waited for an
    /// answer counts from when it should have gone.
    async fn turn(&self, at: usize) -> Instant {
        let Pace::Open(per_second) = self.pace else { return Instant::now() };
        let place = u32::try_from(at).unwrap_or(u32::MAX);
        let due = self.began + Duration::from_secs_f64(f64::from(place) / f64::from(per_second));
        if due <= Instant::now() {
            return due;
        }
        tokio::time::sleep_until(due).await;
        Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::meta::{self, Item};

    #[test]
    fn every_event_is_read_as_one_change() {
        let audience = Audience { first: 3, accounts: 2, numbers: 10 };
        let read = meta::read(body(audience, 0..7, MARK, 1_700_000_000).as_bytes());
        assert_eq!(read.items.len(), 7);
        assert!(read.items.iter().all(|item| matches!(item, Item::Change(_))));
    }
}
