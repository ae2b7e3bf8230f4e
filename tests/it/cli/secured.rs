//! A server behind a proxy that speaks TLS: trusted like any other, or by an authority
//! that is named; never without.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, version};

use super::{Shell, command, ran};
use crate::support::certs::Authority;

/// A proxy with this certificate, before what listens at `server`.
async fn proxy(config: Arc<ServerConfig>, server: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(config);
    tokio::spawn(async move {
        while let Ok((outer, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                let Ok(mut outer) = acceptor.accept(outer).await else { return };
                let mut inner = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_behind_tls_is_reached_if_its_certificate_is_trusted_and_not_otherwise() {
    let shell = Shell::start(None).await;
    let (authority, server) = (Authority::new(), shell.running.base.trim_start_matches("http://").to_owned());
    let versions = &[&version::TLS13];
    let good =
        proxy(authority.issues("127.0.0.1", |_| {}).server(versions, &["h2", "http/1.1"]), server.clone())
            .await;
    let other = proxy(authority.issues("localhost", |_| {}).server(versions, &[]), server).await;
    let ca_file = authority.file();
    std::fs::copy(&ca_file, shell.file("ca.pem")).unwrap();
    std::fs::remove_file(ca_file).unwrap();

    let list = async |url: &str, more: &[&str]| {
        shell.run(&[&["accounts", "list", "--url", url], more].concat()).await
    };
    let (good, other) = (format!("https://{good}"), format!("https://{other}"));
    assert!(list(&good, &["--ca-file", "ca.pem"]).await.well().contains("Shop"));
    let unknown = list(&good, &[]).await;
    assert!(unknown.ill(8).contains("UnknownIssuer\nhint: --ca-file FILE"), "{}", unknown.err);
    let misnamed = list(&other, &["--ca-file", "ca.pem"]).await;
    assert!(misnamed.ill(8).contains("invalid peer certificate"), "{}", misnamed.err);
    // A profile keeps whom to trust, wherever it is used from.
    shell.run(&["login", "--url", &good, "--ca-file", "ca.pem"]).await.well();
    let mut elsewhere = command(shell.directory.path(), &["events", "list"]);
    elsewhere.current_dir("/");
    assert_eq!(ran(elsewhere).await.well(), "");
}
