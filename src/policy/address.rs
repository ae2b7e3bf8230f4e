//! Where a delivery may go: the judge of URLs and addresses.
//!
//! A customer names the URL and this service opens the connection, from inside
//! the operator's network: so a URL is an attempt to reach whatever that
//! network protects, until shown otherwise (security.md 1 and 2). Two questions
//! are asked, here and nowhere else. [`Rules::judge_url`] asks whether a URL is
//! acceptable as written: when a webhook is saved, and again before each send.
//! [`Rules::judge_ip`] asks whether an address may be dialled: of literal hosts
//! at once, of names after each resolution, so that what is dialled is what was
//! judged.
//!
//! One parser reads URLs, the WHATWG one of the `url` crate, which also undoes
//! the disguises of addresses (`0x7f.1`, `2130706433`, full-width digits,
//! `%31`). Judged is what it understood, never the text again. Whatever a URL
//! has no need of (user names, fragments, white space, backslashes, missing
//! slashes) is refused rather than repaired.

mod names;
mod table;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use url::Url;

/// The longest URL, in bytes, as written and as normalised.
pub const LONGEST_URL: usize = 2048;

/// The ports that are open everywhere.
pub const OPEN_PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// Ports of well-known internal services: outside the allowed networks closed
/// even if [`Rules::allow_ports`] lists them.
pub const CLOSED_PORTS: [u16; 13] = [22, 25, 110, 143, 389, 445, 2375, 3306, 5432, 6379, 9200, 11211, 27017];

/// The operator's rules. The default is the strictest: https to public
/// addresses on [`OPEN_PORTS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether `http://` is allowed besides `https://`.
    pub allow_http: bool,
    /// Networks that are open in spite of the table of reserved ones, on every
    /// port.
    pub allow_networks: Vec<IpNet>,
    /// Ports that are open besides [`OPEN_PORTS`].
    pub allow_ports: Vec<u16>,
    /// Networks that are closed whatever else is said, public or allowed.
    pub deny_networks: Vec<IpNet>,
    /// Names that are closed, as [`host_name`] gives them, and all names under
    /// them.
    pub deny_hosts: Vec<String>,
    /// Where this service itself listens: never delivered to, else an event
    /// could go round for ever. An unspecified address (`0.0.0.0`, `::`) stands
    /// for every address of this machine.
    pub own: Vec<SocketAddr>,
}

/// Why a URL or an address is refused. The texts are for the customer who
/// configured it: fixed, so that they tell nothing of the network behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Longer than [`LONGEST_URL`].
    #[error("the URL is longer than 2048 bytes")]
    TooLong,
    /// White space, a control character or a backslash.
    #[error("the URL contains white space, a control character or a backslash; hint: percent-encode it")]
    Character,
    /// Not an absolute URL with a host.
    #[error("this is not a complete URL; hint: write it in full, as https://example.com/path")]
    Malformed,
    /// Neither https nor http.
    #[error("the URL must start with https://")]
    Scheme,
    /// http, where only https is allowed.
    #[error("http:// URLs are not allowed; hint: use https://")]
    Insecure,
    /// A user name or a password.
    #[error("the URL contains a user name or a password; hint: configure httpAuthorization instead")]
    UserInfo,
    /// A fragment.
    #[error("the URL contains a fragment (#), which is never sent; hint: remove it")]
    Fragment,
    /// A host name that is not a public one.
    #[error("host name not allowed; hint: use a public name in full, as hooks.example.com")]
    Name,
    /// A port that is not open.
    #[error("port not allowed; hint: use 443, 8443, 80 or 8080, or ask the operator to open it")]
    Port,
    /// An address in a reserved network.
    #[error("target address not allowed; hint: deliveries go to public addresses only")]
    Address,
    /// An address of this service.
    #[error("the URL leads back to this service; hint: name the address of the receiver")]
    Own,
}

impl Refusal {
    /// Whether the API calls this an insecure protocol (code 1014) rather than
    /// an invalid callback URL (code 3020).
    pub fn is_insecure_protocol(self) -> bool {
        self == Self::Insecure
    }
}

/// The host of a judged URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A literal address, whatever its spelling was.
    Ip(IpAddr),
    /// A name: lower case, punycode, without a trailing dot.
    Name(String),
}

/// A URL that was judged acceptable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL, normalised: what to store, show and send to.
    pub url: Url,
    /// Its host.
    pub host: Host,
    /// Its port, written or implied by the scheme.
    pub port: u16,
    /// Whether TLS is spoken.
    pub https: bool,
}

impl Target {
    /// The one address that needs no resolution: that of a literal host, and
    /// 127.0.0.1 for `localhost` and `*.localhost`.
    pub fn literal(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Ip(ip) => Some(*ip),
            Host::Name(name) => names::is_loopback(name).then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        }
    }
}

impl Rules {
    /// Judges a URL as written, without resolving its name: the judgement that
    /// counts for a name is [`Self::judge_ip`] on what it resolves to. So a
    /// name's unusual port is accepted here if there are allowed networks, in
    /// which the name might lie.
    pub fn judge_url(&self, text: &str) -> Result<Target, Refusal> {
        judge_text(text)?;
        let mut url = Url::parse(text).map_err(|_| Refusal::Malformed)?;
        let https = url.scheme() == "https";
        if !https && !self.allow_http {
            return Err(Refusal::Insecure);
        }
        if url.fragment().is_some() {
            return Err(Refusal::Fragment);
        }
        let host = match url.host().ok_or(Refusal::Malformed)? {
            url::Host::Ipv4(ip) => Host::Ip(ip.into()),
            url::Host::Ipv6(ip) => Host::Ip(ip.into()),
            url::Host::Domain(name) => Host::Name(names::canonical(name)?),
        };
        if let Host::Name(name) = &host {
            if self.deny_hosts.iter().any(|denied| names::is_under(name, denied)) {
                return Err(Refusal::Name);
            }
            url.set_host(Some(name)).map_err(|_| Refusal::Name)?;
        }
        if url.as_str().len() > LONGEST_URL {
            return Err(Refusal::TooLong);
        }
        let port = url.port_or_known_default().ok_or(Refusal::Port)?;
        let target = Target { url, host, port, https };
        match target.literal() {
            Some(ip) => self.judge_ip(ip, port)?,
            None if self.is_open(port) || (port != 0 && !self.allow_networks.is_empty()) => {}
            None => return Err(Refusal::Port),
        }
        Ok(target)
    }

    /// Judges an address that is about to be dialled. Of a closed network every
    /// address and port is refused alike: that one of them is this service's
    /// own would tell where it listens.
    pub fn judge_ip(&self, ip: IpAddr, port: u16) -> Result<(), Refusal> {
        let allowed = self.allow_networks.iter().any(|net| net.contains(&ip));
        if self.is_denied(ip) || (!allowed && table::reserved(ip).is_some()) {
            return Err(Refusal::Address);
        }
        if self.is_own(ip, port) {
            return Err(Refusal::Own);
        }
        let open = if allowed { port != 0 } else { self.is_open(port) };
        if open { Ok(()) } else { Err(Refusal::Port) }
    }

    /// Which network holds `ip`, for the operator's log and never for the
    /// customer.
    pub fn network(&self, ip: IpAddr) -> &'static str {
        if self.is_denied(ip) { "denied" } else { table::reserved(ip).unwrap_or("public") }
    }

    fn is_denied(&self, ip: IpAddr) -> bool {
        self.deny_networks.iter().any(|net| net.contains(&ip) || net.contains(&ip.to_canonical()))
    }

    /// Judges a connection that was made, before a byte is written: the second
    /// lock of the self-connection rule. Which addresses this machine has is
    /// not known beforehand, but a connection to one of them starts from that
    /// same address.
    pub fn judge_connection(&self, local: SocketAddr, peer: SocketAddr) -> Result<(), Refusal> {
        let to_itself = local.ip().to_canonical() == peer.ip().to_canonical();
        let listening = || self.own.iter().any(|own| own.ip().is_unspecified() && own.port() == peer.port());
        if to_itself && listening() { Err(Refusal::Own) } else { Ok(()) }
    }

    fn is_own(&self, ip: IpAddr, port: u16) -> bool {
        // Dialling the unspecified address reaches the loopback one.
        let ip = ip.to_canonical();
        let here = ip.is_loopback() || ip.is_unspecified();
        self.own.iter().any(|own| {
            let mine = own.ip().to_canonical();
            let reached =
                mine == ip || (mine.is_unspecified() && here) || (mine.is_loopback() && ip.is_unspecified());
            own.port() == port && reached
        })
    }

    fn is_open(&self, port: u16) -> bool {
        let listed = OPEN_PORTS.contains(&port) || self.allow_ports.contains(&port);
        listed && port != 0 && !CLOSED_PORTS.contains(&port)
    }
}

/// A host name as URLs' hosts are compared with it: lower case, punycode, no
/// trailing dot. `None` if `text` is anything else than a public name.
pub fn host_name(text: &str) -> Option<String> {
    let url = Url::parse(&format!("https://{text}/")).ok()?;
    let bare = !text.contains(['/', '\\', '@', ':', '?', '#']) && !text.contains(char::is_whitespace);
    match url.host()? {
        url::Host::Domain(name) if bare => names::canonical(name).ok(),
        url::Host::Domain(_) | url::Host::Ipv4(_) | url::Host::Ipv6(_) => None,
    }
}

/// What can only be judged on the text as written, because parsing repairs it.
fn judge_text(text: &str) -> Result<(), Refusal> {
    if text.len() > LONGEST_URL {
        return Err(Refusal::TooLong);
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(Refusal::Character);
    }
    let (scheme, rest) = text.split_once(':').ok_or(Refusal::Malformed)?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(Refusal::Scheme);
    }
    let rest = rest.strip_prefix("//").ok_or(Refusal::Malformed)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(Refusal::Malformed);
    }
    if authority.contains('@') { Err(Refusal::UserInfo) } else { Ok(()) }
}

#[cfg(test)]
mod registry;
#[cfg(test)]
mod tests;
