//! TLS: what is trusted, and each way to fail closed (fault 60).

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use axum::http::Version;
use bellwether::policy::address::Refusal;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, IsCa};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, version};

use super::*;
use crate::support::certs::{Authority, Identity};
use crate::support::dns::{NameServer, Reply};
use crate::support::hostile::{Hostile, Received, ok, serve, until_closed};

const BOTH: &[&tokio_rustls::rustls::SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

/// Answers 200 over TLS, HTTP/1.1 only.
async fn secured(config: Arc<ServerConfig>) -> Hostile {
    let acceptor = TlsAcceptor::from(config);
    Hostile::plays(move |stream, log| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                while serve(&mut stream, &log, &ok("secured")).await {}
            }
        }
    })
    .await
}

fn trusting(authority: &Authority) -> HttpTransport {
    let file = authority.file();
    let transport = built(loopback(), "127.0.0.1:9".parse().unwrap(), Some(&file));
    std::fs::remove_file(file).unwrap();
    transport
}

fn https(server: &Hostile) -> String {
    format!("https://{}/", server.at)
}

#[tokio::test]
async fn an_extra_authority_is_trusted_over_tls_1_2_and_1_3() {
    let authority = Authority::new();
    for version in [&version::TLS12, &version::TLS13] {
        let server = secured(authority.issues("127.0.0.1", |_| {}).server(&[version], &[])).await;
        let outcome = post(&trusting(&authority), &https(&server), AMPLE).await;
        assert_eq!((outcome.class, outcome.answer.as_slice()), (OutcomeClass::Success, &b"secured"[..]));
    }
}

#[tokio::test]
async fn http_2_is_spoken_with_those_who_offer_it_on_one_connection() {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::from(authority.issues("localhost", |_| {}).server(BOTH, &["h2", "http/1.1"]));
    let (seen, mut requests) = mpsc::unbounded_channel();
    let server = Hostile::plays(move |stream, _| {
        let (acceptor, seen) = (acceptor.clone(), seen.clone());
        async move {
            let stream = acceptor.accept(stream).await.unwrap();
            assert_eq!(stream.get_ref().1.server_name(), Some("localhost"));
            let answer = service_fn(move |request: axum::http::Request<hyper::body::Incoming>| {
                seen.send((request.version(), request.headers().clone())).unwrap();
                async {
                    Ok::<_, std::convert::Infallible>(axum::http::Response::new(axum::body::Body::from(
                        "two",
                    )))
                }
            });
            let _ =
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
        }
    })
    .await;
    let transport = trusting(&authority);
    for _ in 0..3 {
        let outcome = post(&transport, &format!("https://localhost:{}/", server.at.port()), AMPLE).await;
        assert_eq!(
            (outcome.status, outcome.answer.as_slice()),
            (Some(200), &b"two"[..]),
            "{:?}",
            outcome.note
        );
        let (version, headers) = requests.recv().await.unwrap();
        assert_eq!(version, Version::HTTP_2);
        assert_eq!(headers.len(), 2, "content-length and accept-encoding: {headers:?}");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn the_certificate_is_checked_against_the_host_of_the_url_whatever_address_is_dialled() {
    let authority = Authority::new();
    let server = secured(authority.issues("hooks.example.com", |_| {}).server(BOTH, &[])).await;
    let dns = NameServer::answers(|_, _| Reply::Addresses(vec!["127.0.0.1".parse().unwrap()], 60)).await;
    let file = authority.file();
    let transport = built(loopback(), dns.at, Some(&file));
    std::fs::remove_file(file).unwrap();
    let by_name = |name: &str| format!("https://{name}:{}/", server.at.port());
    assert_eq!(post(&transport, &by_name("hooks.example.com"), AMPLE).await.class, OutcomeClass::Success);
    for other in ["other.example.com", "127.0.0.1", "localhost"] {
        let outcome = post(&transport, &by_name(other), AMPLE).await;
        let expected = (OutcomeClass::Tls, "the receiver's certificate is for another host name");
        assert_eq!(class_and_note(&outcome), expected, "{other}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_untrusted_or_outdated_certificate_fails_closed_with_its_reason() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let plain = |authority: &Authority| authority.issues("127.0.0.1", |_| {});
    let expired = known.issues("127.0.0.1", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let future = known.issues("127.0.0.1", |params| params.not_before = rcgen::date_time_ymd(3000, 1, 1));
    let stranger = "the receiver's certificate is self-signed, of an unknown authority, or sent without its intermediate";
    for (identity, note) in [
        (Identity::self_signed("127.0.0.1", |_| {}), stranger),
        (
            // As openssl makes them: an authority's certificate by itself.
            Identity::self_signed("127.0.0.1", |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }),
            "the receiver's certificate is not one that a server may use; hint: is it self-signed?",
        ),
        (plain(&unknown), stranger),
        (expired, "the receiver's certificate has expired"),
        (future, "the receiver's certificate is not valid yet"),
    ] {
        let server = secured(identity.server(BOTH, &[])).await;
        let outcome = post(&trusting(&known), &https(&server), AMPLE).await;
        assert_eq!(class_and_note(&outcome), (OutcomeClass::Tls, note));
        assert_eq!(server.requests(), [], "nothing was said");
    }
}

#[tokio::test]
async fn a_receiver_that_demands_a_client_certificate_is_a_tls_failure() {
    let authority = Authority::new();
    let server = secured(authority.demanded_by(authority.issues("127.0.0.1", |_| {}))).await;
    let outcome = post(&trusting(&authority), &https(&server), AMPLE).await;
    assert_eq!(outcome.class, OutcomeClass::Tls, "{outcome:?}");
}

#[tokio::test]
async fn a_receiver_that_does_not_finish_a_handshake_is_a_tls_failure() {
    // Alerts: a version too old (TLS 1.0), no common cipher.
    let version = Hostile::plays(|mut stream, _| async move {
        let _ = stream.write_all(&[21, 3, 1, 0, 2, 2, 70]).await;
        until_closed(&mut stream).await;
    });
    let cipher = Hostile::plays(|mut stream, _| async move {
        let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await;
        until_closed(&mut stream).await;
    });
    let not_tls = Hostile::plays(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        until_closed(&mut stream).await;
    });
    let closing = Hostile::plays(|mut stream, _| async move {
        let _ = stream.shutdown().await;
    });
    let no_common = "the receiver accepts no TLS version or cipher that is offered";
    for (server, note) in [
        (version.await, no_common),
        (cipher.await, no_common),
        (not_tls.await, "the receiver does not speak TLS on this port"),
        (closing.await, "the TLS handshake was cut short"),
    ] {
        let outcome = post_once(&https(&server), AMPLE).await;
        assert_eq!(class_and_note(&outcome), (OutcomeClass::Tls, note));
        assert_eq!(server.connections(), 1, "no second try with something weaker");
    }
}

#[tokio::test]
async fn a_stalled_handshake_ends_with_the_deadline() {
    let server = Hostile::plays(|mut stream, _| async move { until_closed(&mut stream).await }).await;
    let outcome = post_once(&https(&server), SHORT).await;
    assert_eq!(outcome.class, OutcomeClass::Timeout);
}

#[test]
fn a_file_of_authorities_that_has_none_is_refused_with_its_path() {
    let missing = Path::new("/nonexistent/ca.pem");
    let error = tls::client_config(Some(missing), Clock::system()).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/ca.pem") && error.contains("hint:"), "{error}");
    let empty = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    assert!(tls::client_config(Some(&empty), Clock::system()).is_err());
}

/// Answers the first request of each connection and keeps the others waiting, in
/// the version of HTTP that is agreed on; counts the connections that ended.
async fn answers_once(alpn: &[&str], ended: &Arc<AtomicUsize>) -> (Hostile, Authority) {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::from(authority.issues("127.0.0.1", |_| {}).server(BOTH, alpn));
    let ended = Arc::clone(ended);
    let server = Hostile::plays(move |stream, log| {
        let (acceptor, ended, requests) = (acceptor.clone(), Arc::clone(&ended), AtomicUsize::new(0));
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let answer = service_fn(|_: axum::http::Request<hyper::body::Incoming>| {
                let nth = requests.fetch_add(1, SeqCst);
                log.lock().unwrap().push(Received { head: String::new(), body: Vec::new() });
                async move {
                    if nth > 0 {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, std::convert::Infallible>(axum::http::Response::new(axum::body::Body::empty()))
                }
            });
            let _ =
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
            ended.fetch_add(1, SeqCst);
        }
    })
    .await;
    (server, authority)
}

#[tokio::test]
async fn fault_72_a_secured_connection_ends_too_in_use_or_idle_and_the_attempt_says_why() {
    for alpn in [&["h2"][..], &["http/1.1"]] {
        for in_use in [true, false] {
            let ended = Arc::default();
            let (server, authority) = answers_once(alpn, &ended).await;
            let rules = watch::Sender::new(Arc::new(loopback()));
            let file = authority.file();
            let transport = changing(&rules, "127.0.0.1:9".parse().unwrap(), Some(&file));
            std::fs::remove_file(file).unwrap();
            assert_eq!(post(&transport, &https(&server), AMPLE).await.class, OutcomeClass::Success);
            let forbid = || rules.send_modify(|rules| Arc::make_mut(rules).allow_networks.clear());
            if in_use {
                let change = async {
                    until(|| server.received() == 2).await;
                    forbid();
                };
                let url = https(&server);
                let (outcome, ()) = tokio::join!(post(&transport, &url, 3 * AMPLE), change);
                let expected = Outcome::failed(OutcomeClass::ForbiddenAddress, &Refusal::Address.to_string());
                assert_eq!(outcome, expected, "{alpn:?}");
            } else {
                forbid();
            }
            until(|| ended.load(SeqCst) == 1).await;
            assert_eq!(server.connections(), 1, "{alpn:?}");
        }
    }
}
