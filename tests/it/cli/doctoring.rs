//! `doctor` on a server that is well, and on one of which this and that is broken.

use std::os::unix::fs::PermissionsExt;

use super::{Ran, Shell, ran, steady};
use bellwether::server;
use bellwether::telemetry::Metrics;

use crate::process::running::{Listening, PATIENCE, write_config};
use crate::sim::world::tempdir::TempDir;

const TOKEN: (&str, &str) = ("BELLWETHER_META__APPS__MAIN__VERIFY_TOKEN", "let-me-in");

impl Shell {
    /// `doctor` on the server's own machine, as its operator runs it.
    async fn doctor(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(&[&["doctor", "--config", "bellwether.toml"], arguments].concat());
        command
            .env(TOKEN.0, TOKEN.1)
            .env("BELLWETHER_SERVER__LISTEN", self.running.base.trim_start_matches("http://"));
        ran(command).await
    }
}

/// What was found, without what differs from machine to machine.
fn found(ran: &Ran) -> String {
    let lines = steady(&ran.out);
    let lines =
        lines.lines().filter(|line| !line.contains(" MiB are free") && !line.contains("hint: make room"));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_server_is_well_from_the_disk_to_each_webhook() {
    let receiver = Listening::start().await;
    let shell = Shell::start_with(Some(&receiver.url), &[TOKEN]).await;
    let looked = shell.doctor(&[]).await;
    looked.well();
    let listen = shell.running.base.trim_start_matches("http://").to_owned();
    let store = shell.file("store.db").display().to_string();
    assert_eq!(
        found(&looked).replace(&listen, "IP:PORT").replace(&store, "STORE"),
        "note   configuration                                 CONFIG holds secrets and every user may read it: chmod 600 CONFIG\n"
            .replace("CONFIG", "bellwether.toml")
            .replacen("note", "ok     configuration                                 listens on IP:PORT, 1 Meta app(s)\nnote", 1)
            + "ok     key                                           is there\n\
               ok     store                                         STORE\n\
               ok     address                                       something listens on IP:PORT\n\
               ok     server                                        http://127.0.0.1:PORT is ready\n\
               ok     clock                                         no more than 5 s from the one here\n\
               ok     api key                                       is taken\n\
               ok     handshake main                                http://127.0.0.1:PORT/ingest/meta/main answers Meta's challenge\n\
               ok     webhook 00000000-0000-0000-0000-000000000000  http://127.0.0.1:PORT/hook is reached\n"
    );
    let json = shell.doctor(&["--json"]).await.json();
    let verdicts: Vec<_> =
        json["checks"].as_array().unwrap().iter().map(|check| check["verdict"].clone()).collect();
    assert!(verdicts.len() == 11 && !verdicts.contains(&"wrong".into()), "{json}");
    assert!(receiver.arrived().is_empty(), "it was asked, and told nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_broken_is_named_with_what_to_do_and_ends_in_a_code_of_its_own() {
    // Nothing listens at the receiver's; the server has no verify token.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let shell = Shell::start(Some(&format!("http://{closed}/hook"))).await;
    let looked = shell.doctor(&[]).await;
    assert_eq!(
        (looked.code, looked.err.as_str()),
        (Some(12), "error: 2 things are not well\n"),
        "{}",
        looked.out
    );
    for expected in [
        "answers 403 Forbidden",
        "hint: does the server run with this configuration",
        "can't be reached: connect: ",
        "hint: no delivery gets there either",
    ] {
        assert!(looked.out.contains(expected), "{expected} is missing in {}", looked.out);
    }
    // From elsewhere, by what the server knows.
    shell.change("15550000001", "TIER_1K").await;
    let failing = async {
        loop {
            let looked = shell.run(&["doctor"]).await;
            if looked.code == Some(12) {
                return looked;
            }
        }
    };
    let looked = tokio::time::timeout(PATIENCE, failing).await.unwrap();
    assert!(looked.out.contains("the last attempt failed (connect -), 1 wait"), "{}", looked.out);
    let mut wrong = shell.command(&["doctor"]);
    wrong.env("BELLWETHER_API_KEY", "bwk_wrong");
    let looked = ran(wrong).await;
    assert!(looked.code == Some(12) && looked.out.contains("this needs a valid API key"), "{}", looked.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meta_is_asked_for_its_clock_where_numbers_are_read_from_it() {
    let long_ago = [("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let meta = format!("http://{}", listener.local_addr().unwrap());
    let answers = axum::Router::new().fallback(async move || (long_ago, "not for you"));
    let limits = server::Limits { max_connections: 8, header_timeout: PATIENCE, drain_timeout: PATIENCE };
    let (_running, stop) = tokio::sync::watch::channel(false);
    tokio::spawn(server::serve(listener, answers, limits, Metrics::new(), stop));
    let shell = Shell::start(None).await;
    let mut command = shell.command(&["doctor", "--config", "bellwether.toml"]);
    command.env("BELLWETHER_GRAPH__ACCESS_TOKEN", "EAAJB-hush").env("BELLWETHER_GRAPH__BASE_URL", &meta);
    let looked = ran({
        command.env("BELLWETHER_GRAPH__ALLOW_NETWORKS", "127.0.0.0/8");
        command
    })
    .await;
    let line = looked.out.lines().find(|line| line.contains("clock against meta")).expect(&looked.out);
    assert!(line.starts_with("wrong") && line.contains("it shows 1994-11-06T08:49:37.00Z"), "{line}");
    assert!(!looked.out.contains("hush"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_a_store_or_a_server_that_can_not_be_used_is_found() {
    let directory = TempDir::new();
    let config = write_config(directory.path());
    let doctor = || ran(super::command(directory.path(), &["doctor", "--config", "bellwether.toml"]));
    let down = doctor().await;
    assert_eq!(down.code, Some(12));
    assert!(down.out.contains("nothing listens on") && down.out.contains("wrong  server"), "{}", down.out);
    std::fs::write(directory.path().join("store.db"), b"this is no database").unwrap();
    std::fs::write(directory.path().join("store.db.key"), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
        .unwrap();
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(directory.path().join("store.db.key"), private).unwrap();
    let damaged = doctor().await;
    assert!(damaged.out.contains("wrong  store"), "{}", damaged.out);
    std::fs::write(&config, "[delivery]\nretry_shedule_s = [1]\n").unwrap();
    let misspelled = doctor().await;
    assert_eq!(misspelled.code, Some(12));
    assert!(misspelled.out.contains("hint: did you mean `delivery.retry_schedule_s`?"), "{}", misspelled.out);
}
