//! TLS against another make of server (fault 60): what is too old or too weak
//! fails closed, each in its own words and without a second try.

use super::*;
use crate::support::certs::Authority;
use crate::support::openssl::OpenSsl;

/// What `delivery` to a server with these options ends in.
async fn ends(options: &[&str], host: &str) -> (OutcomeClass, String) {
    let authority = Authority::new();
    let server = OpenSsl::serves(&authority.issues(host, |_| {}), options);
    let file = authority.file();
    let transport = built(loopback(), "127.0.0.1:9".parse().unwrap(), Some(&file));
    std::fs::remove_file(file).unwrap();
    let outcome = post(&transport, &format!("https://{host}:{}/", server.at.port()), AMPLE).await;
    (outcome.class, outcome.note.unwrap_or_default())
}

#[tokio::test]
async fn fault_60_an_old_version_or_a_weak_cipher_fails_closed_and_is_named() {
    let weak = "ALL:@SECLEVEL=0";
    let none_in_common = "the receiver accepts no TLS version or cipher that is offered";
    for options in [
        &["-tls1", "-cipher", weak][..],
        &["-tls1_1", "-cipher", weak],
        // Without forward secrecy, and with a cipher of the last century.
        &["-tls1_2", "-cipher", "AES128-SHA"],
        &["-tls1_2", "-cipher", "AES256-SHA256"],
        &["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"],
    ] {
        let (class, note) = ends(options, "127.0.0.1").await;
        assert_eq!((class, note.as_str()), (OutcomeClass::Tls, none_in_common), "{options:?}");
    }
}

#[tokio::test]
async fn fault_60_a_server_that_knows_only_another_name_is_told_apart() {
    let options = ["-servername", "other.example.com", "-servername_fatal"];
    let (class, note) = ends(&options, "localhost").await;
    assert_eq!((class, note.as_str()), (OutcomeClass::Tls, "the receiver does not know the host name"));
}

#[tokio::test]
async fn fault_60_a_client_certificate_that_is_demanded_is_told_apart_in_either_version() {
    for version in ["-tls1_2", "-tls1_3"] {
        let (class, note) = ends(&[version, "-Verify", "1"], "127.0.0.1").await;
        let demanded = "the receiver demands a client certificate";
        assert_eq!((class, note.as_str()), (OutcomeClass::Tls, demanded), "{version}");
    }
}

#[tokio::test]
async fn fault_60_a_server_that_wants_to_renegotiate_gets_the_request_once_and_no_new_terms() {
    let authority = Authority::new();
    let mut server = OpenSsl::serves(&authority.issues("127.0.0.1", |_| {}), &["-tls1_2"]);
    let file = authority.file();
    let transport = built(loopback(), "127.0.0.1:9".parse().unwrap(), Some(&file));
    std::fs::remove_file(file).unwrap();
    let url = format!("https://{}/", server.at);
    let posting = tokio::spawn(async move { post(&transport, &url, AMPLE).await });
    let server = tokio::task::spawn_blocking(move || {
        server.says("POST / HTTP/1.1");
        server.types("R\n");
        server
    });
    let server = server.await.unwrap();
    let outcome = posting.await.unwrap();
    assert_ne!(outcome.class, OutcomeClass::Success, "{outcome:?}");
    assert_eq!(outcome.status, None);
    drop(server);
}
