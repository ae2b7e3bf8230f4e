//! Names to addresses that may be dialled.
//!
//! The system's resolver is not asked: it would try search domains and the
//! hosts file, by which a customer's name could mean a machine of the
//! operator's. Instead every name goes out as fully qualified, to the name
//! servers of the configuration or of `/etc/resolv.conf`. All addresses that
//! come back are judged and a single forbidden one rejects them all: a name
//! that points both outside and inside is an attack, or about to be one.
//!
//! Answers are cached as long as their TTL says, 30 seconds at most, so that a
//! receiver that closes its connections does not cost two queries a delivery.
//! The cache never outlives the policy: cached or not, addresses are judged at
//! each dial. That a name has no address is never cached: a retry finds out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::{TokioResolver, system_conf};

use crate::env::{Faults, Weakness};
use crate::policy::address::{self, Refusal, Rules, Target};

/// How long a resolution may take, retries and both address families included.
pub const BUDGET: Duration = Duration::from_secs(3);

/// How many of a name's addresses are dialled at most; all are judged.
pub const MOST_ADDRESSES: usize = 16;

/// How many answers are cached.
const CACHED_ANSWERS: u64 = 4096;

/// How long an answer is cached at most.
const LONGEST_CACHED: Duration = Duration::from_secs(30);

/// How long one name server is waited for before the question is repeated.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a question is repeated.
const REPEATS: usize = 2;

/// Why there is nothing to dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// An address, port or name that deliveries never go to.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The name does not exist or has no address, or no name server knows.
    #[error("the host name has no address")]
    NoAddress,
    /// The name servers did not answer within [`BUDGET`].
    #[error("the name servers did not answer in time")]
    Slow,
}

/// Why no resolver could be built.
#[derive(Debug, thiserror::Error)]
#[error("failed to learn the system's name servers: {0}; hint: list some in delivery.dns_servers")]
pub struct NoNameServers(#[from] hickory_resolver::net::NetError);

/// Resolves names. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Resolver {
    names: TokioResolver,
    faults: Faults,
}

impl Resolver {
    /// A resolver that asks these name servers over UDP, and TCP for long
    /// answers; without any, those of `/etc/resolv.conf`, read now.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, NoNameServers> {
        let servers = if servers.is_empty() {
            // Only the servers: no domain, no search list.
            system_conf::read_system_conf()?.0.into_parts().2
        } else {
            servers.iter().map(name_server).collect()
        };
        let config = ResolverConfig::from_name_servers(servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        set(builder.options_mut());
        Ok(Self { names: builder.build()?, faults: Faults::none() })
    }

    /// The same, under a test's faults.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Where to dial for `target`: one to [`MOST_ADDRESSES`] addresses, in
    /// this order, every one judged. A literal host, or `localhost`, is judged
    /// alike without being looked up.
    pub async fn resolve(&self, rules: &Rules, target: &Target) -> Result<Vec<SocketAddr>, ResolveError> {
        let mut found = match target.literal() {
            Some(ip) => vec![ip],
            None => self.look_up(target.url.host_str().unwrap_or_default()).await?,
        };
        for ip in &found {
            if let Err(refusal) = rules.judge_ip(*ip, target.port) {
                tell_operator(target, *ip, refusal);
                return Err(refusal.into());
            }
        }
        if target.literal().is_none() && self.faults.weakens(Weakness::ResolveTwice) {
            found = self.look_up(target.url.host_str().unwrap_or_default()).await?;
        }
        found.truncate(MOST_ADDRESSES);
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip, target.port)).collect())
    }

    /// A name's addresses, IPv4 first; at least one.
    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        // The final dot says that the name is complete: no search list.
        let name = Name::from_ascii(format!("{name}.")).map_err(|_| ResolveError::NoAddress)?;
        let answer = tokio::time::timeout(BUDGET, self.names.lookup_ip(name)).await;
        let answer = answer.map_err(|_| ResolveError::Slow)?.map_err(|error| {
            let slow = matches!(error, hickory_resolver::net::NetError::Timeout);
            if slow { ResolveError::Slow } else { ResolveError::NoAddress }
        })?;
        let found: Vec<_> = answer.iter().collect();
        if found.is_empty() { Err(ResolveError::NoAddress) } else { Ok(found) }
    }
}

fn name_server(at: &SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = at.port();
    }
    NameServerConfig::new(at.ip(), true, connections)
}

fn set(options: &mut ResolverOpts) {
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = PATIENCE;
    options.attempts = REPEATS;
    options.cache_size = CACHED_ANSWERS;
    options.positive_max_ttl = Some(LONGEST_CACHED);
    options.negative_max_ttl = Some(Duration::ZERO);
}

/// The customer is told a fixed text; which address it was is for the log.
fn tell_operator(target: &Target, ip: IpAddr, refusal: Refusal) {
    let network = address::reserved(ip).unwrap_or("public");
    let (host, port) = (target.url.host_str().unwrap_or_default(), target.port);
    tracing::warn!(host, port, %ip, network, %refusal, "a delivery was kept from a forbidden address");
}
