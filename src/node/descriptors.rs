//! How many files the process may have open, and who gets how many of them.
//!
//! A connection that comes in takes a descriptor, an attempt takes one and may
//! leave another behind, idle. If the system gives fewer than the configured
//! limits add up to, they are lowered, so that whoever opens connections to us
//! can't take those that deliveries need.

use crate::config::Config;

/// For the store, the log, DNS and the runtime.
const OWN: usize = 64;

/// An attempt's connection, and one that stays idle.
const OF_AN_ATTEMPT: usize = 2;

/// Where the system tells.
const TOLD: &str = "/proc/self/limits";

/// What there may be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) connections: usize,
    pub(super) attempts: usize,
}

impl Shares {
    /// What is configured, as far as the system's limit goes; says so if that is
    /// less.
    pub(super) fn of(config: &Config) -> Self {
        let asked =
            Self { connections: config.server.max_connections, attempts: config.delivery.max_in_flight };
        // Where nothing is told, there may be no limit.
        let limit = std::fs::read_to_string(TOLD).ok().and_then(|told| limit(&told)).unwrap_or(usize::MAX);
        let given = asked.within(limit);
        if given != asked {
            let Self { connections, attempts } = given;
            tracing::warn!(
                limit,
                connections,
                attempts,
                "the limit of open files is below what is configured, which is lowered to this; hint: raise it (LimitNOFILE, ulimit -n)"
            );
        }
        given
    }

    fn within(self, limit: usize) -> Self {
        let spare = limit.saturating_sub(OWN);
        if self.connections.saturating_add(OF_AN_ATTEMPT * self.attempts) <= spare {
            return self;
        }
        let attempts = self.attempts.min(spare / (2 * OF_AN_ATTEMPT)).max(1);
        let connections = self.connections.min(spare.saturating_sub(OF_AN_ATTEMPT * attempts)).max(1);
        Self { connections, attempts }
    }
}

/// The limit that holds (the soft one) in what the system tells.
fn limit(told: &str) -> Option<usize> {
    let line = told.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(limit: usize) -> (usize, usize) {
        let given = Shares { connections: 4_096, attempts: 512 }.within(limit);
        (given.connections, given.attempts)
    }

    #[test]
    fn fault_80_below_the_limit_of_open_files_both_ways_have_their_share() {
        assert_eq!(within(20_000), (4_096, 512));
        assert_eq!(within(usize::MAX), (4_096, 512));
        assert_eq!(within(1_024), (480, 240));
        assert_eq!(within(128), (32, 16));
        assert_eq!(within(0), (1, 1));
    }

    #[test]
    fn the_systems_limit_is_the_soft_one() {
        let told = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(limit(told), Some(1_024));
        assert_eq!(limit("Max open files  unlimited  unlimited  files"), None);
        assert_eq!(limit(""), None);
    }
}
