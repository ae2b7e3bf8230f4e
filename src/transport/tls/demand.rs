//! Notices that a receiver asks for a client certificate during a handshake.
//!
//! There is none to give. With TLS 1.2 a receiver that insists then says no more
//! than that the handshake failed, which it also says when no cipher suits it: so
//! that owners are told the right one of the two, the question is noted where it
//! comes in. The TLS library asks one resolver for all connections and does not
//! say for which; but it asks within the task that polls the handshake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::sign::CertifiedKey;

tokio::task_local! {
    static NOTE: Note;
}

/// Whether the handshake under way was asked for a certificate.
#[derive(Default)]
struct Note(AtomicBool);

/// Has no certificate, and notes that it was asked.
#[derive(Debug)]
pub(super) struct Noticing;

impl ResolvesClientCert for Noticing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // Outside of `noting` nobody wants to know.
        let _ = NOTE.try_with(|note| note.0.store(true, Ordering::Relaxed));
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// What comes of `handshake`, and whether a certificate was asked for in it.
pub(in crate::transport) async fn noting<F: Future>(handshake: F) -> (F::Output, bool) {
    let noted = async {
        let output = handshake.await;
        (output, NOTE.with(|note| note.0.load(Ordering::Relaxed)))
    };
    NOTE.scope(Note::default(), noted).await
}
