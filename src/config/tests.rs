//! What is read, what is refused, and in which words.

use super::*;

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::read(text, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// What is wrong, one string a problem, the hint after a bar.
fn wrong(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let error = read(text, variables).expect_err("something is wrong");
    error.problems.into_iter().map(|problem| format!("{} | {}", problem.what, problem.hint)).collect()
}

#[test]
fn without_file_and_variables_every_key_has_its_default() {
    let config = read("", &[("PATH", "/bin"), ("HOME", "/root")]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8700");
    assert_eq!(config.server.max_connections, 4096);
    assert_eq!(config.server.header_timeout, Duration::from_secs(10));
    assert_eq!(config.server.body_timeout, Duration::from_secs(20));
    assert_eq!(config.server.drain_timeout, Duration::from_secs(15));
    assert_eq!(config.store.path, Path::new("bellwether.db"));
    assert!(config.operator.key.is_none() && config.meta.apps.is_empty());
    assert_eq!(config.delivery.retry_schedule, Schedule::seed());
    assert_eq!(config.delivery.attempt_timeout, Duration::from_secs(10));
    assert!(!config.delivery.allow_http && !config.delivery.paused && config.events.fill_limits);
    assert!(!config.events.snapshot_on_enable);
    assert!(config.delivery.allow_networks.is_empty() && config.delivery.allow_ports.is_empty());
    assert!(config.delivery.dns_servers.is_empty() && config.delivery.ca_file.is_none());
    assert_eq!(config.delivery.max_in_flight, 512);
    assert_eq!(config.delivery.max_in_flight_per_webhook, 16);
    assert_eq!(config.delivery.max_loaded, 4096);
    assert_eq!(config.retention.events, Duration::from_hours(30 * 24));
    assert_eq!(config.secrets.key_file, Path::new("bellwether.db.key"));
    assert_eq!((config.log.level, config.log.format), (LevelFilter::INFO, Format::Human));
}

#[test]
fn every_key_is_read_from_the_file() {
    let config = read(
        r#"
        server = { listen = "[::1]:0", max_connections = 7, header_timeout_ms = 100, body_timeout_ms = 200, drain_timeout_ms = 0 }
        store.url = "sqlite:/var/lib/b.db"
        operator.key = "0123456789abcdef"
        meta.apps.main = { app_secret = "one", previous_app_secret = "two", verify_token = "three" }
        [delivery]
        retry_schedule_s = [2, 4]
        attempt_timeout_ms = 500
        allow_http = true
        allow_networks = ["10.0.0.0/8", "fd00::/8"]
        allow_ports = [9000]
        deny_networks = ["8.8.8.0/24"]
        deny_hosts = ["Bellwether.Example.com."]
        dns_servers = ["9.9.9.9", "127.0.0.1:5353", "::1", "[::1]:5353"]
        ca_file = "ca.pem"
        paused = true
        max_in_flight = 3
        max_in_flight_per_webhook = 2
        max_loaded = 9
        [events]
        fill_limits = false
        flag_from_rating = false
        snapshot_on_enable = true
        [graph]
        access_token = "EAAJ"
        base_url = "https://gateway.example.com/meta/"
        version = "v25.0"
        allow_networks = ["10.3.0.0/16"]
        reconcile_every_s = 60
        max_in_flight = 5
        page_timeout_ms = 300
        [retention]
        events_days = 1
        [secrets]
        key_file = "elsewhere.key"
        [log]
        level = "off"
        format = "json"
        "#,
        &[],
    )
    .unwrap();
    assert_eq!(config.server.listen.to_string(), "[::1]:0");
    assert_eq!(config.store.path, Path::new("/var/lib/b.db"));
    let app = &config.meta.apps["main"];
    assert_eq!(app.app_secret.expose_secret(), "one");
    assert_eq!(app.previous_app_secret.as_ref().unwrap().expose_secret(), "two");
    assert_eq!(app.verify_token.as_ref().unwrap().expose_secret(), "three");
    assert_eq!(config.delivery.retry_schedule, Schedule::new([2, 4].map(Duration::from_secs).to_vec()));
    assert_eq!(config.delivery.allow_networks.len(), 2);
    assert_eq!(config.delivery.allow_ports, [9000]);
    assert_eq!(config.delivery.deny_networks, ["8.8.8.0/24".parse().unwrap()]);
    assert_eq!(config.delivery.deny_hosts, ["bellwether.example.com"]);
    let servers: Vec<_> = config.delivery.dns_servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["9.9.9.9:53", "127.0.0.1:5353", "[::1]:53", "[::1]:5353"]);
    assert_eq!(config.delivery.ca_file.as_deref(), Some(Path::new("ca.pem")));
    assert!(config.delivery.paused && !config.events.flag_from_rating);
    let graph = &config.graph;
    assert_eq!(graph.access_token.as_ref().unwrap().expose_secret(), "EAAJ");
    assert_eq!((&*graph.base_url, &*graph.version), ("https://gateway.example.com/meta", "v25.0"));
    assert_eq!(graph.allow_networks, ["10.3.0.0/16".parse().unwrap()]);
    assert_eq!((graph.max_in_flight, graph.page_timeout), (5, Duration::from_millis(300)));
    assert_eq!(graph.reconcile_every, Duration::from_mins(1));
    assert_eq!(config.secrets.key_file, Path::new("elsewhere.key"));
    assert_eq!((config.log.level, config.log.format), (LevelFilter::OFF, Format::Json));
}

#[test]
fn a_variable_wins_over_the_file() {
    let file =
        "server.listen = '127.0.0.1:1'\ndelivery.retry_schedule_s = [5]\nmeta.apps.main.app_secret = 'old'";
    let config = read(
        file,
        &[
            ("BELLWETHER_SERVER__LISTEN", "127.0.0.1:2"),
            ("BELLWETHER_DELIVERY__RETRY_SCHEDULE_S", "1, 2,3"),
            ("BELLWETHER_DELIVERY__ALLOW_NETWORKS", "10.0.0.0/8,192.168.0.0/16"),
            ("BELLWETHER_DELIVERY__ALLOW_HTTP", "true"),
            ("BELLWETHER_META__APPS__MAIN__APP_SECRET", "new"),
            ("BELLWETHER_META__APPS__SECOND__APP_SECRET", "other"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(config.delivery.retry_schedule, Schedule::new([1, 2, 3].map(Duration::from_secs).to_vec()));
    assert_eq!(config.delivery.allow_networks.len(), 2);
    assert!(config.delivery.allow_http);
    assert_eq!(config.meta.apps["main"].app_secret.expose_secret(), "new");
    assert_eq!(config.meta.apps["second"].app_secret.expose_secret(), "other");
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_key_that_was_meant() {
    for (text, expected) in [
        ("server.lisen = 1", "unknown key `server.lisen` in bellwether.toml | did you mean `server.listen`?"),
        (
            "[sever]\nlisten = 2",
            "unknown key `sever.listen` in bellwether.toml | did you mean `server.listen`?",
        ),
        (
            "[colour]",
            "unknown key `colour` in bellwether.toml | docs/reference/configuration.md lists every key",
        ),
    ] {
        assert_eq!(wrong(text, &[]), [expected]);
    }
}

#[test]
fn an_unknown_variable_is_refused_with_the_variable_that_was_meant() {
    assert_eq!(
        wrong("", &[("BELLWETHER_META__APPS__MAIN__APP_SECRETS", "hush")]),
        [
            "unknown key `meta.apps.main.app_secrets` in the environment variable BELLWETHER_META__APPS__MAIN__APP_SECRETS | did you mean BELLWETHER_META__APPS__MAIN__APP_SECRET?"
        ]
    );
}

#[test]
fn a_wrong_type_names_the_key_what_was_expected_and_what_was_found() {
    for (text, expected) in [
        ("server.max_connections = 'many'", "must be an integer from 1 to 65536, found text: \"many\""),
        ("server.listen = 8700", "must be an IP address and a port such as 127.0.0.1:8700, found an integer"),
        ("server.listen = 'localhost'", "such as 127.0.0.1:8700, found \"localhost\""),
        ("delivery.allow_http = 1", "must be true or false, found 1"),
        ("delivery.allow_networks = ['10.0.0.1/99']", "such as 10.1.0.0/16, found \"10.0.0.1/99\""),
        ("delivery.deny_hosts = ['https://a.example/']", "such as bellwether.example.com, found"),
        ("delivery.allow_networks = '10.0.0.0/8'", "must be a list of networks in CIDR notation"),
        ("delivery.retry_schedule_s = 5", "must be a list of integers, found an integer"),
        ("delivery.retry_schedule_s = [1.5]", "must hold integers from 1 to 86400, found a fraction"),
        ("log.level = 'loud'", "must be one of off, error, warn, info, debug, trace, found text: \"loud\""),
        (
            "delivery.allow_networks = ['10.0.0.0/8', 'x', 5, 'y']",
            "such as 10.1.0.0/16, found \"x\", an integer, \"y\"",
        ),
        ("delivery.allow_ports = [80, 0, 70000]", "must hold integers from 1 to 65535, found 0, 70000"),
        ("server = 3", "must be a section, found an integer"),
        ("secrets.key_file = ''", "must be the path of a file, found nothing"),
        ("meta.apps.main.app_secret = 3", "must be text, found an integer"),
    ] {
        let problems = wrong(text, &[]);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{text}: {problems:?}");
    }
}

#[test]
fn an_address_where_a_network_is_expected_is_shown_as_one() {
    for (list, hint) in [
        ("delivery.allow_networks = ['10.1.0.0/16', '10.0.0.1']", "write 10.0.0.1/32 for this address alone"),
        ("delivery.deny_networks = ['fd00::1']", "write fd00::1/128 for this address alone"),
        ("graph.allow_networks = ['x']", "leave it out for none"),
    ] {
        let problems = wrong(list, &[]);
        assert!(problems.len() == 1 && problems[0].ends_with(hint), "{list}: {problems:?}");
    }
    let word = wrong("", &[("BELLWETHER_DELIVERY__ALLOW_NETWORKS", "10.1.0.0/16,10.0.0.1")]);
    assert!(word.len() == 1 && word[0].contains("write 10.0.0.1/32"), "{word:?}");
}

#[test]
fn a_value_out_of_its_range_is_refused_with_the_range() {
    for (text, expected) in [
        ("delivery.attempt_timeout_ms = 99", "from 100 to 60000, found 99"),
        ("delivery.max_in_flight = 65537", "from 1 to 65536, found 65537"),
        ("delivery.max_in_flight = -1", "found -1"),
        ("delivery.allow_ports = [0]", "from 1 to 65535, found 0"),
        ("delivery.retry_schedule_s = []", "must have 1 to 20 items, found 0"),
        ("delivery.retry_schedule_s = [86401]", "from 1 to 86400, found 86401"),
        ("retention.events_days = 0", "from 1 to 3650, found 0"),
        ("operator.key = 'short'", "must have at least 16 characters, has 5"),
    ] {
        let problems = wrong(text, &[]);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{text}: {problems:?}");
    }
}

#[test]
fn every_problem_is_reported_at_once_in_two_lines_each() {
    let error = read("server.lisen = 1\nlog.level = 'loud'\nretention.events_days = 0", &[]).unwrap_err();
    assert_eq!(error.problems.len(), 3);
    let lines: Vec<_> = error.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with("hint: ")).count(), 3);
    assert_eq!(lines.len(), 6);
}

#[test]
fn an_app_needs_a_secret_and_a_name_that_fits_a_url() {
    let problems = wrong("[meta.apps.main]\nverify_token = 't'", &[]);
    assert_eq!(
        problems,
        [
            "`meta.apps.main.app_secret` is missing | it is in the Meta app's settings, under Basic, as docs/guide/operator.md shows; set it in the file or as BELLWETHER_META__APPS__MAIN__APP_SECRET"
        ]
    );
    assert_eq!(wrong("[meta.apps.main]", &[]), problems);
    assert!(wrong("meta.apps.main.app_secret = ''", &[])[0].contains("must not be empty"));
    assert!(wrong("meta.apps.main.app_secret = \"s\\n\"", &[])[0].contains("white space"));
    for name in ["Main", "ma in", "é", "''", &"a".repeat(65)] {
        let name = if name == "''" { "" } else { name };
        assert!(!wrong(&format!("meta.apps.'{name}'.app_secret = 's'"), &[]).is_empty(), "{name}");
    }
}

#[test]
fn a_hint_says_what_to_write_where_that_is_known() {
    for (text, hint) in [
        ("store.url = '/tmp/x.db'", "write sqlite:/tmp/x.db"),
        ("store.url = 'sqlite:///tmp/x.db'", "write sqlite:/tmp/x.db"),
        ("store.url = 'mysql://u:p@db/x'", "write sqlite:/var/lib/bellwether/bellwether.db"),
        (
            "server.listen = 'localhost:80'",
            "write 127.0.0.1:80 for this machine only, 0.0.0.0:80 for its networks too",
        ),
        (
            "server.listen = 'localhost'",
            "write 127.0.0.1:8700 for this machine only, 0.0.0.0:8700 for its networks too",
        ),
        (
            "server.listen = ':9000'",
            "write 127.0.0.1:9000 for this machine only, 0.0.0.0:9000 for its networks too",
        ),
        ("server.listen = '10.0.0.1'", "write 10.0.0.1:8700"),
        (
            "meta.apps.main.app_secret = ''",
            "it is in the Meta app's settings, under Basic, as docs/guide/operator.md shows",
        ),
    ] {
        let problems = wrong(text, &[]);
        assert!(problems.len() == 1 && problems[0].ends_with(&format!(" | {hint}")), "{text}: {problems:?}");
    }
}

#[test]
fn only_a_file_for_sqlite_is_a_store() {
    for (url, expected) in [
        ("postgres://u:hush@db/x", "this version keeps everything in SQLite"),
        ("postgresql:x", "this version keeps everything in SQLite"),
        ("bellwether.db", "must begin with `sqlite:`"),
        ("sqlite:", "names no file"),
        ("sqlite://x", "must not have `//`"),
        ("sqlite::memory:", "must name a file"),
    ] {
        let problems = wrong(&format!("store.url = '{url}'"), &[]);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{url}: {problems:?}");
        assert!(!problems[0].contains("hush"));
    }
}

#[test]
fn a_key_is_32_bytes_and_stands_in_one_place() {
    let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    assert!(read(&format!("secrets.key = '{key}'"), &[]).is_ok());
    assert!(wrong("secrets.key = 'aHVzaA=='", &[])[0].contains("must be the base64 of 32 bytes"));
    assert!(
        wrong(&format!("secrets = {{ key = '{key}', key_file = 'x' }}"), &[])[0]
            .contains("one of them counts")
    );
}

#[test]
fn no_secret_is_shown_in_debug_or_in_any_message() {
    let config = read(
        "operator.key = 'canary-canary-canary'\nmeta.apps.main = { app_secret = 'canary', verify_token = 'canary', previous_app_secret = 'canary' }",
        &[],
    )
    .unwrap();
    assert!(!format!("{config:?}").contains("canary"));
    for text in [
        "operator.key = 'canary",
        "operator.key = canary",
        "operator.key = 'canary'",
        "operator.key = ['canary-canary-canary']",
        "operator.kez = 'canary'",
        "operator = 'canary'",
        "meta.apps.main = 'canary'",
        "meta.apps = 'canary'",
        "meta.apps.main.app_secret = 'canary '",
        "secrets.key = 'canary'",
    ] {
        let error = read(text, &[]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{text}: {error}");
    }
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    let problems = wrong("[server]\nlisten = 127.0.0.1:8700", &[]);
    assert!(
        problems.len() == 1 && problems[0].starts_with("line 2 of bellwether.toml is not TOML: "),
        "{problems:?}"
    );
}

#[test]
fn an_open_bracket_is_told_to_be_closed_and_not_to_be_quoted() {
    let problems = wrong("[server\nlisten = '127.0.0.1:1'", &[]);
    assert!(problems.len() == 1 && problems[0].ends_with("| close the bracket: [server]"), "{problems:?}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Some(Path::new("/nonexistent/bellwether.toml"))).unwrap_err().to_string();
    assert!(
        error.starts_with("failed to read the configuration file /nonexistent/bellwether.toml: "),
        "{error}"
    );
}

#[test]
fn faults_are_planned_in_debug_builds_only() {
    let read = read("", &[("BELLWETHER_FAILPOINT", "after_commit=error")]);
    if cfg!(debug_assertions) {
        assert!(read.unwrap().faults.at(crate::env::Point::AfterCommit).is_some());
    } else {
        assert!(read.is_err(), "unknown in a release build");
    }
}
