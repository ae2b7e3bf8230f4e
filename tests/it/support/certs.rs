//! An authority of our own, certificates of every kind of wrongness, and a
//! server's side of TLS.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, SupportedProtocolVersion, version};
use uuid::Uuid;

/// A certificate authority that nobody knows unless told.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub struct Identity {
    pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // One of its own: authorities are looked up by name.
        params.distinguished_name.push(DnType::CommonName, Uuid::from_u128(rand::random()).to_string());
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this name or address, changed by `change`.
    pub fn issues(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { pem: certificate.pem(), chain: vec![certificate.der().clone()], key }
    }

    /// The authority's certificate as a PEM file.
    pub fn file(&self) -> PathBuf {
        pem_file(&self.0.pem())
    }

    /// Servers that let in only clients which this authority knows.
    pub fn demanded_by(&self, identity: Identity) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap());
        let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
        Arc::new(config.with_single_cert(identity.chain, key).unwrap())
    }
}

impl Identity {
    /// A certificate that nobody signed but its owner.
    pub fn self_signed(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), chain: vec![certificate.der().clone()], key }
    }

    /// The certificate and its key as a PEM file.
    pub fn file(&self) -> PathBuf {
        pem_file(&format!("{}{}", self.pem, self.key.serialize_pem()))
    }

    /// A server with this certificate.
    pub fn server(self, versions: &[&'static SupportedProtocolVersion], alpn: &[&str]) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain, key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

fn pem_file(text: &str) -> PathBuf {
    let name = format!("{}.pem", Uuid::from_u128(rand::random()));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}
