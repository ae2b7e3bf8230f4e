//! No connection where none may go: forbidden addresses in every spelling, our
//! own listeners, and that nothing is learnt of what is there (faults 65, 71,
//! 72, 74).

use std::sync::atomic::{AtomicUsize, Ordering};

use bellwether::policy::address::Refusal;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::support::dns::{NameServer, Reply};
use crate::support::hostile::{Hostile, ok};
use crate::support::spellings::{at_port, own_addresses, zoo};

/// Only the address counts: the port is open everywhere.
fn open_at(ports: &[u16]) -> Rules {
    Rules { allow_http: true, allow_ports: ports.to_vec(), ..Rules::default() }
}

/// A listener at every address of this machine waits for any of them.
#[tokio::test]
async fn fault_65_no_spelling_of_a_forbidden_address_is_connected_to() {
    let server = Hostile::everywhere().await;
    let port = server.at.port();
    let transport = under(open_at(&[port]));
    let mut sent = 0;
    for (kind, spelling) in zoo() {
        for url in [Some(spelling.clone()), at_port(&spelling, port)].into_iter().flatten() {
            if kind == "port" && url != spelling {
                continue; // At an open port these are public.
            }
            let outcome = post(&transport, &url, AMPLE).await;
            assert_eq!((outcome.class, outcome.status), (OutcomeClass::ForbiddenAddress, None), "{url:?}");
            sent += 1;
        }
    }
    for own in own_addresses().into_iter().filter(|own| Rules::default().network(*own) != "public") {
        let outcome = post(&transport, &format!("http://{}/", SocketAddr::new(own, port)), AMPLE).await;
        assert_eq!(outcome.class, OutcomeClass::ForbiddenAddress, "{own}");
    }
    assert!(sent >= 300, "only {sent} URLs");
    assert_eq!(server.connections(), 0);
}

/// Else the story above would hold though nobody could be reached.
#[tokio::test]
async fn fault_65_where_the_rules_allow_it_the_same_spellings_do_reach_the_listener() {
    let server = Hostile::everywhere().await;
    let port = server.at.port();
    let networks = ["127.0.0.0/8", "0.0.0.0/32", "::/128", "::1/128"];
    let rules = Rules {
        allow_networks: networks.iter().map(|net| net.parse().unwrap()).collect(),
        ..open_at(&[port])
    };
    let transport = under(rules.clone());
    let mut reached = 0;
    for url in zoo().into_iter().filter_map(|(_, spelling)| at_port(&spelling, port)) {
        let local = rules
            .judge_url(&url)
            .is_ok_and(|target| target.literal().is_some_and(|ip| ip.is_loopback() || ip.is_unspecified()));
        if local && url.starts_with("http://") && !url.contains("[::") {
            post(&transport, &url, AMPLE).await;
            reached += 1;
        }
    }
    assert!(reached >= 30, "only {reached} spellings of this machine");
    assert!(server.connections() >= reached, "{} of {reached}", server.connections());
}

/// What no listener here could see, such as a connection to a metadata service,
/// the system's calls show. Both stories above under `strace`: one asks for no
/// connection at all, the other for many.
#[tokio::test]
async fn fault_65_the_system_is_not_even_asked_to_connect() {
    for (story, connects) in [
        ("no_spelling_of_a_forbidden_address_is_connected_to", false),
        ("where_the_rules_allow_it_the_same_spellings_do_reach_the_listener", true),
    ] {
        let log = std::env::temp_dir().join(format!("bellwether-connects-{}-{connects}", std::process::id()));
        let mut traced = tokio::process::Command::new("strace");
        traced.args(["-f", "-qq", "-e", "trace=connect,sendto,sendmmsg", "-o"]).arg(&log);
        traced.arg(std::env::current_exe().unwrap());
        traced.args(["--exact", &format!("transport::addresses::fault_65_{story}")]).kill_on_drop(true);
        let output = bounded(traced.output()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        let calls = std::fs::read_to_string(&log).unwrap();
        std::fs::remove_file(&log).unwrap();
        // Port 9 is how the story learns this machine's addresses: nothing is sent there.
        let towards = |line: &&str| line.contains("AF_INET") && !line.contains("htons(9)");
        let asked: Vec<_> = calls.lines().filter(towards).collect();
        assert_eq!(asked.len() >= 30, connects, "{asked:#?}");
        assert!(connects || asked.is_empty(), "{asked:#?}");
    }
}

#[tokio::test]
async fn fault_71_our_own_listener_is_not_delivered_to_even_in_an_allowed_network() {
    let server = Hostile::answers(ok("loop")).await;
    for own in [server.at, SocketAddr::new("0.0.0.0".parse().unwrap(), server.at.port())] {
        let rules = Rules { own: vec![own], ..loopback() };
        let outcome = post(&under(rules), &server.url("/"), AMPLE).await;
        assert_eq!(
            class_and_note(&outcome),
            (OutcomeClass::ForbiddenAddress, Refusal::Own.to_string().as_str())
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn fault_71_a_name_that_leads_to_our_own_listener_is_refused_when_it_is_dialled() {
    let server = Hostile::answers(ok("loop")).await;
    let dns = NameServer::answers(|_, _| Reply::Addresses(vec!["127.0.0.1".parse().unwrap()], 60)).await;
    let rules = Rules { own: vec![server.at], ..loopback() };
    let url = format!("http://hooks.example.com:{}/", server.at.port());
    assert!(rules.judge_url(&url).is_ok(), "as written nothing is wrong with it");
    let outcome = post(&built(rules, dns.at, None), &url, AMPLE).await;
    assert_eq!(class_and_note(&outcome), (OutcomeClass::ForbiddenAddress, Refusal::Own.to_string().as_str()));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn fault_71_our_public_address_and_name_are_refused_once_they_are_denied() {
    let server = Hostile::answers(ok("loop")).await;
    let dns = NameServer::answers(|_, _| Reply::Addresses(vec!["127.0.0.1".parse().unwrap()], 60)).await;
    let port = server.at.port();
    let address = Rules { deny_networks: vec!["127.0.0.1/32".parse().unwrap()], ..loopback() };
    let name = Rules { deny_hosts: vec!["example.com".to_owned()], ..loopback() };
    for (rules, host, refusal) in [
        (&address, "127.0.0.1", Refusal::Address),
        (&address, "hooks.example.com", Refusal::Address),
        (&name, "hooks.example.com", Refusal::Name),
    ] {
        let outcome =
            post(&built(rules.clone(), dns.at, None), &format!("http://{host}:{port}/"), AMPLE).await;
        let note = refusal.to_string();
        assert_eq!(class_and_note(&outcome), (OutcomeClass::ForbiddenAddress, note.as_str()), "{host}");
    }
    assert_eq!(server.connections(), 0);
}

/// A connection in the pool leads where it was judged to, whatever its name
/// means by now.
#[tokio::test]
async fn fault_72_a_pooled_connection_leads_where_it_was_judged_to_and_a_new_one_is_judged_anew() {
    let inside = Hostile::answers(ok("secret")).await;
    let port = inside.at.port();
    let outside = TcpListener::bind(("127.1.0.1", port)).await.unwrap();
    let outside = Hostile::on(outside, |mut stream, log| async move {
        // Two requests on a connection.
        crate::support::hostile::serve(&mut stream, &log, &ok("a")).await;
        crate::support::hostile::serve(&mut stream, &log, &ok("b")).await;
    });
    let dns = NameServer::answers(|_, question| {
        let ip = if question == 0 { "127.1.0.1" } else { "127.0.0.1" };
        Reply::Addresses(vec![ip.parse().unwrap()], 0)
    })
    .await;
    let rules = Rules { allow_networks: vec!["127.1.0.0/16".parse().unwrap()], ..open_at(&[port]) };
    let transport = built(rules.clone(), dns.at, None);
    let url = format!("http://hooks.example.com:{port}/");
    for answer in ["a", "b"] {
        assert_eq!(
            post(&transport, &url, AMPLE).await.answer,
            answer.as_bytes(),
            "in the pool since the first"
        );
    }
    assert_eq!(post(&transport, &url, AMPLE).await.class, OutcomeClass::ForbiddenAddress, "dialled anew");
    let stricter = Rules { deny_hosts: vec!["hooks.example.com".to_owned()], ..rules };
    assert_eq!(post(&built(stricter, dns.at, None), &url, AMPLE).await.class, OutcomeClass::ForbiddenAddress);
    assert_eq!((outside.connections(), inside.connections()), (1, 0));
}

/// Answers each request, counts who has hung up.
async fn counting_ends() -> (Hostile, Arc<AtomicUsize>) {
    let ended = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&ended);
    let server = Hostile::plays(move |mut stream, log| {
        let ended = Arc::clone(&counter);
        async move {
            while crate::support::hostile::serve(&mut stream, &log, &ok("a")).await {}
            ended.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    (server, ended)
}

#[tokio::test]
async fn fault_72_a_connection_that_is_kept_ends_when_the_rules_forbid_it_and_no_other_does() {
    let forbid: [fn(&mut Rules); 3] = [
        |rules| rules.deny_networks = vec!["127.0.0.1/32".parse().unwrap()],
        |rules| rules.allow_networks.clear(),
        |rules| rules.allow_http = false,
    ];
    for forbid in forbid {
        let (server, ended) = counting_ends().await;
        let rules = watch::Sender::new(Arc::new(loopback()));
        let transport = changing(&rules, "127.0.0.1:9".parse().unwrap(), None);
        let url = server.url("/");
        assert_eq!(post(&transport, &url, AMPLE).await.class, OutcomeClass::Success);
        rules.send_modify(|rules| Arc::make_mut(rules).allow_ports = vec![81]);
        assert_eq!(post(&transport, &url, AMPLE).await.class, OutcomeClass::Success, "it is still allowed");
        assert_eq!((server.connections(), ended.load(Ordering::SeqCst)), (1, 0), "so it is kept");
        rules.send_modify(|rules| forbid(Arc::make_mut(rules)));
        until(|| ended.load(Ordering::SeqCst) == 1).await;
        assert_eq!(post(&transport, &url, AMPLE).await.class, OutcomeClass::ForbiddenAddress);
        assert_eq!((server.connections(), server.received()), (1, 2));
        rules.send_replace(Arc::new(loopback()));
        assert_eq!(post(&transport, &url, AMPLE).await.class, OutcomeClass::Success, "allowed again");
    }
}

/// By its name the URL is as good as before: it is the connection that is not.
#[tokio::test]
async fn fault_72_not_a_byte_goes_out_on_a_connection_that_was_forbidden_a_moment_before() {
    let (server, ended) = counting_ends().await;
    let dns = NameServer::answers(|_, _| Reply::Addresses(vec!["127.0.0.1".parse().unwrap()], 0)).await;
    let rules = watch::Sender::new(Arc::new(loopback()));
    let transport = changing(&rules, dns.at, None);
    let url = format!("http://hooks.example.com:{}/", server.at.port());
    assert_eq!(post(&transport, &url, AMPLE).await.class, OutcomeClass::Success);
    let stricter = Rules { deny_networks: vec!["127.0.0.1/32".parse().unwrap()], ..loopback() };
    rules.send_replace(Arc::new(stricter));
    // Nobody else has had a turn since.
    assert_eq!(post(&transport, &url, AMPLE).await.class, OutcomeClass::ForbiddenAddress);
    until(|| ended.load(Ordering::SeqCst) == 1).await;
    assert_eq!((server.connections(), server.received()), (1, 1));
}

#[tokio::test]
async fn fault_72_an_attempt_under_way_is_cut_off_when_the_rules_forbid_where_it_goes() {
    let server = Hostile::plays(|mut stream, log| async move {
        crate::support::hostile::receive(&mut stream, &log).await;
        crate::support::hostile::until_closed(&mut stream).await;
    })
    .await;
    let rules = watch::Sender::new(Arc::new(loopback()));
    let transport = changing(&rules, "127.0.0.1:9".parse().unwrap(), None);
    let url = server.url("/");
    let change = async {
        until(|| server.received() == 1).await;
        rules.send_replace(Arc::default());
    };
    let (outcome, ()) = tokio::join!(post(&transport, &url, 3 * AMPLE), change);
    assert_eq!(outcome, Outcome::failed(OutcomeClass::ForbiddenAddress, &Refusal::Insecure.to_string()));
    assert_eq!((server.connections(), server.received()), (1, 1), "and it is not said again");
}

/// A port where nobody answers and nobody refuses: what may wait to be accepted
/// already does.
async fn silent_port() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) = timeout(SHORT, TcpStream::connect(listener.local_addr().unwrap())).await {
        waiting.push(connected.unwrap());
        assert!(waiting.len() < 100, "the backlog is bounded");
    }
    (listener, waiting)
}

#[tokio::test]
async fn fault_74_open_closed_and_silent_ports_inside_are_told_alike_and_in_no_time() {
    let open = Hostile::answers(ok("secret")).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (silent, _waiting) = silent_port().await;
    let silent = silent.local_addr().unwrap().port();
    let dns = NameServer::answers(|_, _| Reply::Addresses(vec!["127.0.0.1".parse().unwrap()], 60)).await;
    let ports = [open.at.port(), closed, silent];
    // The server's own port among them: it looks like the others.
    let rules = Rules { own: vec![SocketAddr::new("0.0.0.0".parse().unwrap(), closed)], ..open_at(&ports) };
    let transport = built(rules, dns.at, None);
    let mut told = Vec::new();
    for host in ["127.0.0.1", "127.0.0.77", "hooks.example.com"] {
        for port in ports {
            told.push(post(&transport, &format!("http://{host}:{port}/"), AMPLE).await);
        }
    }
    let alike = Outcome::failed(OutcomeClass::ForbiddenAddress, &Refusal::Address.to_string());
    assert_eq!(told, vec![alike; 9]);
    assert_eq!(open.connections(), 0);
    // No timer ran, or it would have taken at least as long.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    for port in ports {
        post(&transport, &format!("http://127.0.0.1:{port}/"), AMPLE).await;
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "a refusal waits for nothing");
}

#[tokio::test]
async fn fault_74_a_denied_name_and_one_that_does_not_exist_take_the_same_questions_each_time() {
    let dns = NameServer::answers(|name, _| {
        let inside = vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        if name.starts_with("db") { Reply::Addresses(inside, 60) } else { Reply::NoSuchName }
    })
    .await;
    let transport = built(Rules { allow_http: true, ..Rules::default() }, dns.at, None);
    for _ in 0..3 {
        let mut questions = Vec::new();
        for (name, class) in [("db", OutcomeClass::ForbiddenAddress), ("none", OutcomeClass::Dns)] {
            let before = dns.questions();
            let outcome = post(&transport, &format!("http://{name}.example.com/"), AMPLE).await;
            assert_eq!(outcome.class, class);
            questions.push(dns.questions() - before);
        }
        assert_eq!(questions, [2, 2], "one for each family: nothing comes faster from a cache");
    }
}
