//! The benchmark as a check: a tiny run of every scenario on the real binary
//! loses nothing and doubles nothing. No speed is asked for.

use serde_json::Value;

use super::running::binary;
use crate::sim::world::tempdir::TempDir;

#[test]
fn a_tiny_benchmark_loses_nothing_doubles_nothing_and_reports_every_scenario() {
    let directory = TempDir::new();
    let mut command = binary();
    let ran =
        command.args(["bench", "--smoke", "--json", "--directory"]).arg(directory.path()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert_eq!(ran.status.code(), Some(0), "{out}\n{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let scenarios = report["scenarios"].as_array().unwrap();
    let named: Vec<_> = scenarios.iter().map(|scenario| scenario["scenario"].as_str().unwrap()).collect();
    let expected = [
        "limit",
        "single",
        "batched",
        "steady",
        "retention",
        "accounts",
        "large-store",
        "backlog",
        "herd",
        "dead-webhook",
        "restart",
        "idle",
        "stages",
    ];
    assert_eq!(named, expected);
    for scenario in scenarios {
        for harm in ["lost", "doubled", "undone"] {
            assert_eq!(scenario[harm], 0, "{harm}: {scenario}");
        }
        assert!(scenario["peakResidentMib"].as_f64().unwrap() > 0.0, "{scenario}");
    }
    let loads = scenarios
        .iter()
        .filter(|scenario| scenario["scenario"] != "idle" && scenario["scenario"] != "stages");
    for scenario in loads {
        assert!(scenario["events"].as_u64().unwrap() >= 100, "{scenario}");
        assert!(scenario["eventsPerSecond"].as_f64().unwrap() > 0.0, "{scenario}");
        assert!(scenario["acknowledgementMs"]["p99"].as_f64().unwrap() > 0.0, "{scenario}");
    }
    let stages = &scenarios.last().unwrap()["more"];
    for stage in ["verifyMicros", "parseMicros", "signMicros"] {
        assert!(stages[stage].as_f64().unwrap() > 0.0, "{stages}");
    }
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "its stores are removed");
}
