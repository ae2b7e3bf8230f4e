//! The text is what scrapers read: its form, its names, its numbers.

use std::collections::BTreeMap;

use super::*;

/// The samples of an `OpenMetrics` text by name and labels; panics at what the
/// format does not allow.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut families: BTreeMap<&str, &str> = BTreeMap::new();
    let mut samples = BTreeMap::new();
    let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (word, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            match word {
                "TYPE" => assert!(families.insert(name, rest).is_none(), "{name} twice"),
                "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                _ => assert_eq!(word, "HELP", "{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let (family, kind) = families
            .iter()
            .filter(|(family, _)| name.starts_with(**family))
            .max_by_key(|(f, _)| f.len())
            .unwrap();
        let suffixes: &[&str] = match *kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("unexpected type {other}"),
        };
        assert!(suffixes.contains(&name.strip_prefix(*family).unwrap()), "{line}");
        if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
            let labels = labels.strip_prefix('{').and_then(|l| l.strip_suffix('}')).unwrap();
            let (label, quoted) = labels.split_once('=').unwrap();
            assert!(label.bytes().all(|b| b.is_ascii_lowercase()), "{line}");
            assert!(quoted.len() >= 2 && quoted.starts_with('"') && quoted.ends_with('"'), "{line}");
        }
        assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{series} twice");
    }
    samples
}

fn scraped(metrics: &Metrics) -> BTreeMap<String, f64> {
    let totals = Totals { deliveries: [4, 3, 2, 1, 6], unrouted: 7, oldest_due_ms: 1500 };
    parse(&metrics.scrape(Some(&totals), Depths { writer: 5, dispatch: 6, in_flight: 8 }))
}

#[test]
fn every_series_is_there_from_the_start_under_its_name() {
    let mut expected = Vec::new();
    let mut family = |name: &str, label: &str, values: &[&str]| {
        expected.extend(values.iter().map(|value| format!("bellwether_{name}{{{label}=\"{value}\"}}")));
    };
    family(
        "changes_total",
        "result",
        &["accepted", "duplicate", "resent", "unrouted", "unparsed", "ignored"],
    );
    family("events_derived_total", "from", &["business_capability_update", "reconciliation"]);
    let reasons = [
        "signature",
        "too_large",
        "encoding",
        "overloaded",
        "store",
        "timeout",
        "broken",
        "unknown_app",
        "handshake",
    ];
    family("notifications_refused_total", "reason", &reasons);
    family("attempts_total", "class", &OutcomeClass::ALL.map(OutcomeClass::as_str));
    family("deliveries_settled_total", "state", &["delivered", "exhausted", "canceled", "superseded"]);
    family("deliveries", "state", &["pending", "delivered", "exhausted", "canceled", "superseded"]);
    family("queue_depth", "queue", &["writer", "dispatch", "in_flight"]);
    family("store_no_space", "reason", &["disk", "log", "moved"]);
    family("reconciliations_total", "result", &["succeeded"]);
    family("reconciliations_total", "result", &Trouble::ALL.map(Trouble::as_str));
    let single = [
        "unrouted",
        "oldest_due_seconds",
        "connections",
        "deliveries_paused",
        "scrapes_unanswered_total",
        "store_log_bytes",
        "late_accounts",
        "business_accounts_unreconciled",
    ];
    for name in single {
        expected.push(format!("bellwether_{name}"));
    }
    for name in ["commit_batch_size", "commit_seconds", "attempt_seconds", "reconciliation_seconds"] {
        expected.push(format!("bellwether_{name}_sum"));
        expected.push(format!("bellwether_{name}_count"));
    }
    let samples = scraped(&Metrics::new());
    let mut found: Vec<_> = samples.keys().filter(|series| !series.contains("_bucket{")).cloned().collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn accounts_that_are_late_are_named_until_they_are_no_more() {
    let metrics = Metrics::new();
    let account: AccountId = "0f88f5c4-fae7-4dcf-8ff2-b2990133edea".parse().unwrap();
    metrics.undelivered(3, &[(account, Duration::from_secs(1_000))]);
    let named = format!("bellwether_undelivered_oldest_seconds{{account=\"{account}\"}}");
    let samples = scraped(&metrics);
    assert!(
        (samples[&named] - 1_000.0).abs() < 1e-9 && (samples["bellwether_late_accounts"] - 3.0).abs() < 1e-9
    );
    metrics.undelivered(0, &[]);
    let samples = scraped(&metrics);
    assert!(!samples.contains_key(&named) && samples["bellwether_late_accounts"].abs() < 1e-9);
}

#[test]
fn what_is_counted_is_what_is_scraped() {
    let metrics = Metrics::new();
    metrics.received(&Receipt {
        accepted: 5,
        duplicate: 4,
        resent: 3,
        unrouted: 2,
        unparsed: 1,
        ..Receipt::default()
    });
    metrics.ignored(9);
    for reason in Refused::ALL {
        metrics.refused(reason);
    }
    metrics.refused(Refused::UnknownApp);
    metrics.attempt(OutcomeClass::OAuth, Duration::from_millis(250));
    metrics.settled(DeliveryState::Pending);
    metrics.settled(DeliveryState::Canceled);
    metrics.committed(3, Duration::from_millis(2));
    metrics.reconciled(None, Duration::from_millis(500));
    metrics.reconciled(Some(Trouble::Endless), Duration::from_secs(1));
    metrics.unreconciled(2);
    let held = metrics.connection();
    drop(metrics.connection());
    let samples = scraped(&metrics);
    for (series, value) in [
        ("changes_total{result=\"accepted\"}", 5.0),
        ("changes_total{result=\"unparsed\"}", 1.0),
        ("changes_total{result=\"ignored\"}", 9.0),
        ("notifications_refused_total{reason=\"signature\"}", 1.0),
        ("notifications_refused_total{reason=\"unknown_app\"}", 2.0),
        ("attempts_total{class=\"oauth\"}", 1.0),
        ("attempt_seconds_sum", 0.25),
        ("deliveries_settled_total{state=\"delivered\"}", 0.0),
        ("deliveries_settled_total{state=\"canceled\"}", 1.0),
        ("commit_batch_size_sum", 3.0),
        ("commit_seconds_count", 1.0),
        ("deliveries{state=\"pending\"}", 4.0),
        ("deliveries{state=\"canceled\"}", 1.0),
        ("deliveries{state=\"superseded\"}", 6.0),
        ("unrouted", 7.0),
        ("oldest_due_seconds", 1.5),
        ("queue_depth{queue=\"writer\"}", 5.0),
        ("queue_depth{queue=\"in_flight\"}", 8.0),
        ("connections", 1.0),
        ("reconciliations_total{result=\"succeeded\"}", 1.0),
        ("reconciliations_total{result=\"endless\"}", 1.0),
        ("reconciliations_total{result=\"token_expired\"}", 0.0),
        ("reconciliation_seconds_sum", 1.5),
        ("business_accounts_unreconciled", 2.0),
    ] {
        let found = samples[&format!("bellwether_{series}")];
        assert!((found - value).abs() < 1e-9, "{series}: {found}");
    }
    drop(held);
    assert!(scraped(&metrics)["bellwether_connections"].abs() < 1e-9);
}

#[test]
fn each_class_state_and_reason_counts_under_its_own_name() {
    let metrics = Metrics::new();
    for (at, class) in OutcomeClass::ALL.into_iter().enumerate() {
        (0..=at).for_each(|_| metrics.attempt(class, Duration::ZERO));
    }
    for (at, reason) in Refused::ALL.into_iter().enumerate() {
        (0..=at).for_each(|_| metrics.refused(reason));
    }
    for (at, state) in DeliveryState::ALL.into_iter().enumerate() {
        (0..=at).for_each(|_| metrics.settled(state));
    }
    let samples = scraped(&metrics);
    let found = |family: &str, label: &str, value: &str| {
        samples.get(&format!("bellwether_{family}_total{{{label}=\"{value}\"}}")).map(ToString::to_string)
    };
    for (at, class) in OutcomeClass::ALL.into_iter().enumerate() {
        assert_eq!(found("attempts", "class", class.as_str()), Some((at + 1).to_string()));
    }
    for (at, reason) in Refused::ALL.into_iter().enumerate() {
        assert_eq!(found("notifications_refused", "reason", reason.as_str()), Some((at + 1).to_string()));
    }
    for (at, state) in DeliveryState::ALL.into_iter().enumerate().skip(1) {
        assert_eq!(found("deliveries_settled", "state", state.as_str()), Some((at + 1).to_string()));
    }
}

#[test]
fn clones_are_the_same_metrics_and_two_nodes_share_none() {
    let (one, other) = (Metrics::new(), Metrics::new());
    one.clone().ignored(1);
    let count = |metrics: &Metrics| scraped(metrics)["bellwether_changes_total{result=\"ignored\"}"];
    assert!(count(&one) > 0.5 && count(&other) < 0.5);
}
