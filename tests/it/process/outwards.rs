//! The real program's way out: environment, restarts under other rules, its
//! own address, the bytes on the wire, and what a customer reads of it (faults
//! 65, 70 to 74).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use bellwether::env::Clock;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::nemesis::signal;
use super::running::{Caller, Listening, PATIENCE, Running, long, write_config};
use crate::sim::world::{ACCOUNT, notification, tempdir::TempDir, upgrade};
use crate::support::dns::{NameServer, Reply};
use crate::support::hostile::{Hostile, ok, serve};
use crate::support::spellings::{at_port, zoo};

/// How long a connection may outlive the rules that allowed it.
const SOON: Duration = Duration::from_secs(1);

/// A program and who uses it. Its store outlives it.
struct Office {
    directory: TempDir,
    caller: Caller,
    running: Running,
}

impl Office {
    async fn open(variables: &[(&str, &str)]) -> Self {
        let directory = TempDir::new();
        let running = Running::start(directory.path(), variables);
        let caller = Caller::new();
        caller.register(&running.base, None).await;
        Self { directory, caller, running }
    }

    /// The program ends and starts anew with these variables.
    fn restart(&mut self, variables: &[(&str, &str)]) {
        self.running.kill();
        self.running = Running::start(self.directory.path(), variables);
    }

    /// The configuration file has this instead of that, and the program is told to
    /// read it again.
    fn read_again(&self, that: &str, this: &str) {
        let file = write_config(self.directory.path());
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(that));
        std::fs::write(&file, text.replace(that, this)).unwrap();
        signal(self.running.child.id(), "HUP");
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        self.caller.call(&self.running.base, method, path, body).await.unwrap()
    }

    /// Saves webhooks.
    async fn save(&self, webhooks: Value) -> (StatusCode, Value) {
        self.call(Method::POST, &format!("/api/v1/accounts/{ACCOUNT}/webhooks"), webhooks).await
    }

    /// Saves one for all of the account.
    async fn save_one(&self, url: &str, more: Value) {
        let mut webhook = json!({"subAccountId": "*", "url": url, "type": "CABM"});
        webhook.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let (status, answer) = self.save(json!([webhook])).await;
        assert_eq!(status, StatusCode::OK, "{url}: {answer}");
    }

    /// Sends a sample to each webhook.
    async fn test_all(&self) -> usize {
        let path = format!("/v1/accounts/{ACCOUNT}/webhooks");
        let webhooks = self.caller.all(&self.running.base, &path).await;
        for webhook in &webhooks {
            let id = webhook["webhookId"].as_str().unwrap();
            let (status, answer) = self.call(Method::POST, &format!("{path}/{id}/test"), Value::Null).await;
            assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        }
        webhooks.len()
    }

    async fn notify(&self) {
        let signed = notification(Clock::system().now().seconds(), &[upgrade(1, "TIER_10K")]);
        let (status, answer) = self.caller.notify(&self.running.base, signed).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    /// The last attempts of so many deliveries, once each has one.
    async fn attempts(&self, count: usize) -> Vec<Value> {
        let deadline = tokio::time::Instant::now() + 2 * PATIENCE;
        loop {
            let path = format!("/v1/accounts/{ACCOUNT}/deliveries");
            let all = self.caller.all(&self.running.base, &path).await;
            let attempts: Vec<_> = all
                .iter()
                .map(|delivery| delivery["lastAttempt"].clone())
                .filter(|one| !one.is_null())
                .collect();
            if attempts.len() == count {
                return attempts;
            }
            assert!(tokio::time::Instant::now() < deadline, "{} of {count} attempts", attempts.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What a customer reads of an attempt, less its times.
fn told(attempt: &Value) -> Value {
    let mut told = attempt.clone();
    for time in ["startedAt", "durationMs", "nextAttemptAt"] {
        told.as_object_mut().unwrap().remove(time);
    }
    told
}

const FORBIDDEN: &str = "target address not allowed; hint: deliveries go to public addresses only";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_70_proxies_of_the_environment_are_never_connected_to() {
    let proxy = Hostile::everywhere().await;
    let at = format!("http://127.0.0.1:{}", proxy.at.port());
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let mut variables: Vec<_> = names.iter().map(|name| (*name, at.as_str())).collect();
    variables.extend([("NO_PROXY", "example.com"), ("no_proxy", ""), ("REQUEST_METHOD", "GET")]);
    let office = Office::open(&variables).await;
    let receiver = Listening::start().await;
    office.save_one(&receiver.url, Value::Null).await;
    office.notify().await;
    receiver.has(1).await;
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_71_a_webhook_that_leads_back_here_is_refused_when_saved_and_when_its_name_does() {
    let dns = NameServer::answers(|_, _| Reply::Addresses(vec!["127.0.0.1".parse().unwrap()], 0)).await;
    let servers = dns.at.to_string();
    let variables = [
        ("BELLWETHER_DELIVERY__DNS_SERVERS", servers.as_str()),
        ("BELLWETHER_DELIVERY__DENY_HOSTS", "bellwether.example.com"),
        ("BELLWETHER_DELIVERY__DENY_NETWORKS", "127.0.0.9/32"),
    ];
    let office = Office::open(&variables).await;
    let port = office.running.base.rsplit_once(':').unwrap().1.to_owned();
    let leads_back = "the URL leads back to this service; hint: name the address of the receiver";
    for (host, why) in [
        ("127.0.0.1", leads_back),
        ("localhost", leads_back),
        ("0x7f.1", leads_back),
        (
            "bellwether.example.com",
            "host name not allowed; hint: use a public name in full, as hooks.example.com",
        ),
        ("127.0.0.9", FORBIDDEN),
    ] {
        for path in ["ingest/meta/main", "docs", ""] {
            let url = format!("http://{host}:{port}/{path}");
            let (status, answer) =
                office.save(json!([{"subAccountId": "*", "url": url, "type": "CABM"}])).await;
            assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!(3020)), "{url}");
            assert_eq!(answer["message"], format!("[0].url: {why}"), "{url}");
        }
    }
    office.save_one(&format!("http://hooks.example.com:{port}/ingest/meta/main"), Value::Null).await;
    office.notify().await;
    let attempt = &office.attempts(1).await[0];
    assert_eq!(
        told(attempt),
        json!({"number": attempt["number"], "outcome": "forbidden_address", "note": leads_back, "answer": ""})
    );
}

/// Each webhook's URL is judged again at each attempt, by the rules of today;
/// connections made under the rules of before are gone with their process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_72_what_was_saved_under_laxer_rules_is_not_connected_to_under_stricter_ones() {
    let everything = [("BELLWETHER_DELIVERY__ALLOW_NETWORKS", "0.0.0.0/0, ::/0")];
    let mut office = Office::open(&everything).await;
    let (listener, pooled) = (Hostile::everywhere().await, Hostile::answers(ok("a")).await);
    let port = listener.at.port();
    office.save_one(&pooled.url("/"), Value::Null).await;
    office.notify().await;
    assert_eq!(office.attempts(1).await[0]["outcome"], "success", "and its connection is kept");
    let spellings = zoo().into_iter().filter(|(kind, _)| kind == "address");
    let urls = spellings.filter_map(|(_, spelling)| at_port(&spelling, port));
    let webhooks: Vec<_> = urls
        .enumerate()
        .map(|(n, url)| json!({"subAccountId": format!("zoo-{n}"), "url": url, "type": "CABM"}))
        .collect();
    assert!(webhooks.len() >= 100, "{} spellings", webhooks.len());
    let (status, answer) = office.save(json!(webhooks)).await;
    assert_eq!(status, StatusCode::OK, "under the laxest rules all of them are saved: {answer}");
    let port = port.to_string();
    office
        .restart(&[("BELLWETHER_DELIVERY__ALLOW_NETWORKS", ""), ("BELLWETHER_DELIVERY__ALLOW_PORTS", &port)]);
    let sent = office.test_all().await;
    let attempts = office.attempts(1 + sent).await;
    let refused: Vec<_> = attempts.iter().filter(|attempt| attempt["outcome"] != "success").collect();
    assert_eq!(refused.len(), sent);
    for attempt in refused {
        let expected = json!({"number": attempt["number"], "outcome": "forbidden_address", "note": FORBIDDEN, "answer": ""});
        assert_eq!(told(attempt), expected);
    }
    assert_eq!((listener.connections(), pooled.connections()), (0, 1));
}

/// The names of a request's headers, each with its value or, where that is
/// different each time, with what it begins with.
fn headers(head: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no header"));
        let varies =
            ["webhook-id", "webhook-timestamp", "webhook-signature", "content-length"].contains(&name);
        let value = if varies { String::new() } else { value.to_owned() };
        assert!(found.insert(name.to_owned(), value).is_none(), "{name} is there twice");
    }
    found
}

fn expected(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Answers each request, says when somebody has hung up.
async fn noting_ends() -> (Hostile, Arc<Mutex<Vec<Instant>>>) {
    let ended = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&ended);
    let server = Hostile::plays(move |mut stream, log| {
        let ended = Arc::clone(&noted);
        async move {
            while serve(&mut stream, &log, &ok("a")).await {}
            ended.lock().unwrap().push(Instant::now());
        }
    })
    .await;
    (server, ended)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_72_rules_that_change_while_it_runs_hold_at_once_and_what_was_kept_is_closed() {
    let office = Office::open(&[]).await;
    let (receiver, ended) = noting_ends().await;
    office.save_one(&receiver.url("/"), Value::Null).await;
    office.notify().await;
    assert_eq!(office.attempts(1).await[0]["outcome"], "success", "and its connection is kept");

    // What is refused changes nothing, and is told.
    office.read_again("allow_http = true", "allow_htp = true");
    office.running.logs("is refused, what was in force stays: unknown key `delivery.allow_htp`").await;
    office.running.logs("did you mean `delivery.allow_http`?").await;
    office.test_all().await;
    assert!(office.attempts(2).await.iter().all(|attempt| attempt["outcome"] == "success"));
    assert_eq!((receiver.connections(), ended.lock().unwrap().len()), (1, 0));

    let began = Instant::now();
    office.read_again("allow_networks = [\"127.0.0.0/8\"]", "max_loaded = 99");
    office.running.logs("the configuration was read again").await;
    office.running.logs("\"changed\":\"delivery.allow_networks\"").await;
    office.running.logs("\"keys\":\"delivery.max_loaded\"").await;
    while ended.lock().unwrap().is_empty() {
        assert!(began.elapsed() < PATIENCE / 3, "the connection is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = ended.lock().unwrap()[0] - began;
    println!("the connection was closed {took:?} after the signal");
    assert!(!long() || took <= SOON, "{took:?}");
    office.test_all().await;
    let refused = office.attempts(3).await;
    let refused: Vec<_> = refused.iter().filter(|attempt| attempt["outcome"] != "success").collect();
    let [attempt] = refused[..] else { panic!("{refused:?}") };
    let expected =
        json!({"number": attempt["number"], "outcome": "forbidden_address", "note": FORBIDDEN, "answer": ""});
    assert_eq!(told(attempt), expected);
    assert_eq!((receiver.connections(), receiver.received()), (1, 2), "nobody came, and nothing was said");
    let (status, answer) =
        office.save(json!([{"subAccountId": "*", "url": receiver.url("/b"), "type": "CABM"}])).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::BAD_REQUEST, &json!(3020)),
        "nor is it saved any more"
    );

    office.read_again("", "");
    while receiver.received() < 3 {
        assert!(began.elapsed() < 2 * PATIENCE, "{}", office.running.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_73_on_the_wire_are_exactly_the_headers_of_the_contract() {
    let server = Hostile::answers(ok(r#"{"access_token": "t0", "expires_in": 3600}"#)).await;
    let office = Office::open(&[]).await;
    let host = server.at.to_string();
    let agent = concat!("bellwether/", env!("CARGO_PKG_VERSION"));
    let usual = [
        ("accept-encoding", "identity"),
        ("bellwether-attempt", "1"),
        ("bellwether-sequence", "1"),
        ("content-length", ""),
        ("content-type", "application/json"),
        ("host", host.as_str()),
        ("user-agent", agent),
        ("webhook-id", ""),
        ("webhook-signature", ""),
        ("webhook-timestamp", ""),
    ];
    // What is escaped in a URL stays escaped.
    let url = server.url("/a%0d%0ax-evil:%20b?c=%0d%0ad");
    office.save_one(&url, json!({"httpAuthorization": "Basic host: evil, content-length: 0"})).await;
    office.notify().await;
    office.attempts(1).await;
    let sent = server.requests().remove(0);
    assert_eq!(sent.head.lines().next(), Some("POST /a%0d%0ax-evil:%20b?c=%0d%0ad HTTP/1.1"));
    let mut wanted = usual.to_vec();
    wanted.push(("authorization", "Basic host: evil, content-length: 0"));
    assert_eq!(headers(&sent.head), expected(&wanted));

    let token = json!({"url": server.url("/token"), "clientId": "a&b: c", "clientSecret": "s\u{e4}", "credentialsLocation": "header",
        "scope": "x y"});
    office.save_one(&url, json!({"oauth": token})).await;
    let id = office.caller.all(&office.running.base, &format!("/v1/accounts/{ACCOUNT}/webhooks")).await[0]["webhookId"].clone();
    let path = format!("/v1/accounts/{ACCOUNT}/webhooks/{}/test", id.as_str().unwrap());
    office.call(Method::POST, &path, Value::Null).await;
    office.attempts(2).await;
    let [fetched, sent] = &server.requests()[1..] else { panic!("{:?}", server.requests()) };
    let basic = "Basic YSUyNmIlM0ErYzpzJUMzJUE0";
    assert_eq!(
        headers(&fetched.head),
        expected(&[
            ("accept", "application/json"),
            ("accept-encoding", "identity"),
            ("authorization", basic),
            ("content-length", ""),
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", &host),
        ])
    );
    let mut found = headers(&sent.head);
    assert_eq!(found.remove("bellwether-sequence").map(|n| n.parse::<u32>().is_ok()), Some(true));
    let mut wanted = expected(&usual);
    wanted.remove("bellwether-sequence");
    wanted.extend(expected(&[("authorization", "Bearer t0"), ("bellwether-test", "true")]));
    assert_eq!(found, wanted);
}

/// What is behind a name inside, open, closed or silent, can't be told from
/// what a customer reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_74_a_customer_reads_the_same_of_open_closed_and_silent_ports_inside() {
    let open = Hostile::answers(ok("secret")).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let dns = NameServer::answers(|name, _| {
        // 192.0.2.0/24 is nobody's: whoever dials it waits for ever.
        let ip = if name.starts_with("silent") { "192.0.2.77" } else { "127.0.0.1" };
        Reply::Addresses(vec![ip.parse().unwrap()], 60)
    })
    .await;
    let (servers, ports) = (dns.at.to_string(), format!("{},{closed}", open.at.port()));
    let office = Office::open(&[
        ("BELLWETHER_DELIVERY__DNS_SERVERS", &servers),
        ("BELLWETHER_DELIVERY__ALLOW_PORTS", &ports),
        ("BELLWETHER_DELIVERY__ALLOW_NETWORKS", ""),
    ])
    .await;
    let names = [
        format!("http://open.example.com:{}/", open.at.port()),
        format!("http://closed.example.com:{closed}/"),
        format!("http://silent.example.com:{}/", open.at.port()),
    ];
    let webhooks: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(n, url)| json!({"subAccountId": format!("sub-{n}"), "url": url, "type": "CABM"}))
        .collect();
    let (status, answer) = office.save(json!(webhooks)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let sent = office.test_all().await;
    for attempt in office.attempts(sent).await {
        let expected = json!({"number": attempt["number"], "outcome": "forbidden_address", "note": FORBIDDEN, "answer": ""});
        assert_eq!(told(&attempt), expected);
    }
    assert_eq!(open.connections(), 0);
    // Literal addresses are refused when they are saved, in the same words.
    for at in [open.at, SocketAddr::new(open.at.ip(), closed), "192.0.2.77:80".parse().unwrap()] {
        let (status, answer) =
            office.save(json!([{"subAccountId": "*", "url": format!("http://{at}/"), "type": "CABM"}])).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!(3020)));
        assert_eq!(answer["message"], format!("[0].url: {FORBIDDEN}"));
    }
}
