//! TLS towards receivers: version 1.2 or later, the chain and the host name
//! always verified. There is no switch to skip that; a private authority is
//! trusted by adding its certificate (`delivery.ca_file`).
//!
//! What is verified is the host of the URL, although the address dialled was
//! chosen by the resolver: pinning an address takes nothing from TLS.

mod demand;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};

use crate::env::Clock;
use crate::policy::address::Host;
pub(super) use demand::noting;

const CLIENT_CERTIFICATE: &str = "the receiver demands a client certificate";

/// HTTP/2's name in ALPN.
pub const H2: &[u8] = b"h2";

/// Why the client side of TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of extra authorities is missing or not PEM.
    #[error("failed to read certificates from {}: {source}; hint: delivery.ca_file is a PEM file", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// An extra authority's certificate can't be one.
    #[error("failed to use a certificate of {}: {source}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: Error,
    },
}

/// How connections to receivers are secured: the authorities of the Mozilla
/// programme and those of `ca_file` (PEM, one or more certificates of
/// authorities: a self-signed server certificate is none), HTTP/2 or HTTP/1.1,
/// certificates judged by the time that `clock` shows. Reads the file; blocking.
///
/// # Panics
/// If ring lost the cipher suites of TLS 1.2 and 1.3.
pub fn client_config(ca_file: Option<&Path>, clock: Clock) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        add(&mut roots, path)?;
    }
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(Wall(clock)))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("ring has cipher suites for both versions")
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(demand::Noticing));
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    let mut found = CertificateDer::pem_file_iter(path).map_err(unreadable)?.peekable();
    if found.peek().is_none() {
        return Err(unreadable(pem::Error::NoItemsFound));
    }
    for certificate in found {
        let added = roots.add(certificate.map_err(unreadable)?);
        added.map_err(|source| TlsError::Unusable { path: path.to_owned(), source })?;
    }
    Ok(())
}

/// Whom the certificate must name; `None` for a name that none could.
pub(super) fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Ip(ip) => Some((*ip).into()),
        Host::Name(name) => ServerName::try_from(name.clone()).ok(),
    }
}

/// The wall clock, for the dates of certificates.
struct Wall(Clock);

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wall")
    }
}

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.wall().seconds()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Why a handshake failed in which a client certificate was asked for or not.
pub(super) fn handshake_reason(error: &Error, asked: bool) -> &'static str {
    use AlertDescription as A;
    let insisted = asked
        && matches!(
            error,
            Error::AlertReceived(A::HandshakeFailure | A::AccessDenied | A::CertificateUnknown)
        );
    if insisted { CLIENT_CERTIFICATE } else { reason(error) }
}

/// Why TLS failed, in a fixed text for the customer.
pub fn reason(error: &Error) -> &'static str {
    if let Error::InvalidCertificate(certificate) = error {
        return certificate_reason(certificate);
    }
    if let Error::AlertReceived(alert) = error {
        return alert_reason(*alert);
    }
    if matches!(error, Error::PeerIncompatible(_)) {
        return "the receiver offers no TLS version or cipher that is still secure";
    }
    if matches!(error, Error::InvalidMessage(_)) {
        return "the receiver does not speak TLS on this port";
    }
    "the TLS handshake failed"
}

fn certificate_reason(error: &CertificateError) -> &'static str {
    use CertificateError as E;
    if matches!(error, E::Expired | E::ExpiredContext { .. }) {
        return "the receiver's certificate has expired";
    }
    if matches!(error, E::NotValidYet | E::NotValidYetContext { .. }) {
        return "the receiver's certificate is not valid yet";
    }
    if matches!(error, E::NotValidForName | E::NotValidForNameContext { .. }) {
        return "the receiver's certificate is for another host name";
    }
    if matches!(error, E::UnknownIssuer) {
        return "the receiver's certificate is self-signed, of an unknown authority, or sent without its intermediate";
    }
    "the receiver's certificate is not one that a server may use; hint: is it self-signed?"
}

fn alert_reason(alert: AlertDescription) -> &'static str {
    use AlertDescription as A;
    if matches!(alert, A::CertificateRequired | A::NoCertificate | A::BadCertificate) {
        return CLIENT_CERTIFICATE;
    }
    if matches!(alert, A::ProtocolVersion | A::HandshakeFailure | A::InsufficientSecurity) {
        return "the receiver accepts no TLS version or cipher that is offered";
    }
    if matches!(alert, A::UnrecognisedName) {
        return "the receiver does not know the host name";
    }
    "the receiver refused the TLS handshake"
}
