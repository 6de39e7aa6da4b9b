//! URLs to listen on, whose scheme chooses the transport.

use std::fmt;
use std::net::IpAddr;

use serde::de::{self, Deserialize, Deserializer};

/// What an address speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
    /// The Redis protocol, plain.
    Redis,
    /// The Redis protocol over TLS.
    Rediss,
}

impl Scheme {
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Rediss)
    }

    /// Whether it speaks the Redis protocol, and not HTTP.
    pub fn is_redis(self) -> bool {
        matches!(self, Self::Redis | Self::Rediss)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Redis => "redis",
            Self::Rediss => "rediss",
        })
    }
}

/// One URL to listen on. Port 0 lets the system choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenUrl {
    pub scheme: Scheme,
    /// An address without brackets, or a host name.
    pub host: String,
    pub port: u16,
    /// Each connection begins with a header of the PROXY protocol (`?proxy_protocol`).
    pub proxy_protocol: bool,
}

/// The end of a URL whose listener takes connections with a header of the PROXY protocol.
const PROXY_PROTOCOL: &str = "?proxy_protocol";

/// What is accepted, for messages.
pub const ACCEPTED: &str = "expected a URL like https://127.0.0.1:8443, http://[::1]:8080, https://localhost:0, \
                            redis://127.0.0.1:6379 or https://0.0.0.0:8443?proxy_protocol";

impl ListenUrl {
    /// Parses `scheme://host:port`, with or without `?proxy_protocol`.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "redis" => Scheme::Redis,
            "rediss" => Scheme::Rediss,
            _ => return None,
        };
        let (rest, proxy_protocol) = rest.strip_suffix(PROXY_PROTOCOL).map_or((rest, false), |rest| (rest, true));
        let (host, port) = rest.strip_suffix('/').unwrap_or(rest).rsplit_once(':')?;
        let port = port.parse().ok()?;
        let host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
            None if is_host(host) => host.to_owned(),
            None => return None,
        };
        Some(Self { scheme, host, port, proxy_protocol })
    }

    /// Whether only this machine can reach it. A host name other than `localhost` counts as reachable.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, proxy_protocol } = self;
        let end = if *proxy_protocol { PROXY_PROTOCOL } else { "" };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}{end}")
        } else {
            write!(f, "{scheme}://{host}:{port}{end}")
        }
    }
}

impl<'de> Deserialize<'de> for ListenUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from).map_err(|_| de::Error::custom(ACCEPTED))?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(ACCEPTED))
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_parse_and_print() {
        for text in [
            "https://127.0.0.1:8443",
            "http://[::1]:8080",
            "https://localhost:0",
            "http://0.0.0.0:1",
            "redis://h:1",
            "rediss://h:1",
            "https://[::]:1?proxy_protocol",
        ] {
            assert_eq!(ListenUrl::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(ListenUrl::parse("http://h:1/").expect("slash").to_string(), "http://h:1");
        for bad in [
            "ftp://h:1",
            "h:1",
            "http://h",
            "http://h:70000",
            "http://:1",
            "http://a b:1",
            "http://h:1/x",
            "http://[h]:1",
            "http://h:1?proxy",
        ] {
            assert_eq!(ListenUrl::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn loopback_is_what_only_this_machine_reaches() {
        for (text, loopback) in [
            ("http://127.0.0.9:1", true),
            ("http://[::1]:1", true),
            ("http://localhost:1", true),
            ("http://0.0.0.0:1", false),
            ("http://[::]:1", false),
            ("http://example.org:1", false),
        ] {
            assert_eq!(ListenUrl::parse(text).expect(text).is_loopback(), loopback, "{text}");
        }
    }
}
