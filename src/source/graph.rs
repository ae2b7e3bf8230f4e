//! The Graph API's answers: the bytes of one to a page of numbers, or to what is
//! wrong. Pure, and nothing fails: an answer comes over a network, from whatever
//! stands behind the configured address, and may be anything.
//!
//! What is read is one question's answer,
//! `GET /{version}/{WABA-ID}/phone_numbers?fields=...`. A page that can't be read
//! is none, so that a reading is whole or does not count; of a number whose
//! values are of another kind than asked for, the others still count.
//!
//! Of `paging.next` only the cursor is taken, never the address: the next page
//! is asked for where the first one was. So nobody can send the token elsewhere,
//! and a gateway before Meta, whose answers name Meta's host, may be asked, too.

mod error;
mod page;
mod usage;

pub use page::{Next, Page, once};
pub use usage::{Usage, of_app, of_business};

use crate::model::reconciliation::Failure;

/// The fields that are asked for.
pub const FIELDS: &str =
    "display_phone_number,quality_rating,throughput,status,whatsapp_business_manager_messaging_limit";

/// Reads an answer.
pub fn read(status: u16, body: &[u8]) -> Result<Page, Failure> {
    if let Some(failure) = error::read(status, body) {
        return Err(failure);
    }
    page::read(body)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
