//! Holding a reading against what is known: what differs was missed, and
//! becomes an event. This knows the messaging limit only.

use super::events::{Origin, keep_event};
use super::routes::find_route;
use super::writer::Turn;
use crate::model::change::{Change, Detail, QUALITY_FIELD, Quality};
use crate::model::number::Subject;
use crate::model::reading::NumberReading;
use crate::store::queue::{Observation, Observed};

pub(super) fn observe(turn: &mut Turn<'_>, observation: &Observation) -> rusqlite::Result<Option<Observed>> {
    let reading = &observation.reading;
    let route = find_route(turn, reading.business_account.as_str())?;
    let Some(route) = route.filter(|route| route.configured) else { return Ok(None) };
    let mut observed = Observed::default();
    for (at, number) in (0_u64..).zip(&reading.numbers) {
        let Some(subject) = Subject::number(&number.display_phone_number) else { continue };
        observed.numbers += 1;
        let known = turn.memory.tail.number(turn.sql, route.account, &subject)?;
        let unknown = known.is_none();
        let limit = known.and_then(|(_, state)| state.limit.clone());
        observed.learned += u64::from(unknown);
        let newer = limit.as_ref().is_some_and(|(_, since)| *since > reading.at);
        let same = limit.as_ref().is_some_and(|(known, _)| Some(known) == number.limit.as_ref());
        if (!unknown && number.limit.is_none()) || newer || same {
            continue;
        }
        let change = change(observation, number, subject, limit.map(|(limit, _)| limit));
        let mixed = observation.random.wrapping_add(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let origin = Origin {
            now: observation.now,
            timestamp: reading.at,
            app: None,
            random: u32::try_from(mixed >> 32).unwrap_or(0),
            test: false,
            fill_limits: true,
        };
        observed.events += u64::from(keep_event(turn, &origin, &change, &route)?.is_some());
    }
    Ok(Some(observed))
}

fn change(
    observation: &Observation,
    number: &NumberReading,
    subject: Subject,
    known: Option<String>,
) -> Change {
    let step = |limit: &str| limit.bytes().filter(u8::is_ascii_digit).map(usize::from).sum::<usize>();
    let event = match (&known, &number.limit) {
        (None, _) => "ONBOARDING",
        (Some(known), Some(limit)) if step(limit) < step(known) => "DOWNGRADE",
        (Some(_), _) => "UPGRADE",
    };
    let quality = Quality {
        display_phone_number: subject.digits().unwrap_or_default().to_owned(),
        event: event.to_owned(),
        current_limit: number.limit.clone(),
        old_limit: known,
        max_daily_conversations_per_business: None,
    };
    Change {
        business_account: observation.reading.business_account.clone(),
        time: None,
        field: QUALITY_FIELD.to_owned(),
        subject,
        fingerprint: [0; 16],
        detail: Detail::Quality(quality),
        raw: String::new(),
    }
}
