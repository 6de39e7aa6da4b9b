//! Whom a request comes from: the peer, or what a trusted proxy says about it.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::fields::{FORWARDED, FORWARDED_FOR, FORWARDED_PROTO};
use crate::http::connection::ClientAddr;

/// The networks whose word is taken.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether headers of this peer are worth reading; decided once per connection.
    pub fn trust(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// The client behind a trusted `peer`. Each proxy appends the address it saw, so the list is walked from the
    /// right up to the first that is not ours; anything malformed on the way makes the whole list worthless. A proxy
    /// passes on the header that it does not write itself, so where both are there they must say the same.
    pub fn client(&self, peer: ClientAddr, headers: &HeaderMap) -> ClientAddr {
        let seen = [FORWARDED_FOR, FORWARDED].map(|name| {
            let of_rfc = name == FORWARDED;
            headers.contains_key(&name).then(|| self.walk(headers, &name, of_rfc))
        });
        let ip = match seen {
            [Some(first), Some(second)] => first.filter(|_| first == second),
            [one, other] => one.or(other).flatten(),
        };
        let https = forwarded_https(headers).or_else(|| rfc_https(headers)).unwrap_or(peer.https);
        ClientAddr { ip: ip.unwrap_or(peer.ip), https }
    }

    fn walk(&self, headers: &HeaderMap, name: &HeaderName, of_rfc: bool) -> Option<IpAddr> {
        let lines: Vec<_> = headers.get_all(name).iter().collect();
        let mut leftmost = None;
        for line in lines.into_iter().rev() {
            for hop in line.to_str().ok()?.rsplit(',') {
                let ip = parse_hop(if of_rfc { parameter(hop, "for")? } else { hop.trim() })?;
                if !self.trust(ip) {
                    return Some(ip);
                }
                leftmost = Some(ip);
            }
        }
        leftmost
    }
}

/// The nearest proxy's word on the scheme, in the form of RFC 7239.
fn rfc_https(headers: &HeaderMap) -> Option<bool> {
    let line = headers.get_all(FORWARDED).iter().next_back()?;
    scheme_is_https(parameter(line.to_str().ok()?.rsplit(',').next()?, "proto")?)
}

/// One parameter of a hop of `Forwarded`: `for=192.0.2.1;proto=https`, `For="[2001:db8::1]:4711"`.
fn parameter<'a>(hop: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = hop.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    let value = value.trim();
    Some(value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value))
}

/// The nearest proxy's word on the scheme.
fn forwarded_https(headers: &HeaderMap) -> Option<bool> {
    let line = headers.get_all(FORWARDED_PROTO).iter().next_back()?;
    scheme_is_https(line.to_str().ok()?.rsplit(',').next()?.trim())
}

fn scheme_is_https(scheme: &str) -> Option<bool> {
    match scheme {
        scheme if scheme.eq_ignore_ascii_case("https") => Some(true),
        scheme if scheme.eq_ignore_ascii_case("http") => Some(false),
        _ => None,
    }
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let ip = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    ip.or_else(bracketed).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "10.0.0.1";

    /// The client as seen with these headers, through proxies in 10.0.0.0/8 and fd00::/8, over plain HTTP.
    fn seen(headers: &[(&'static str, &str)]) -> (String, bool) {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
        let map = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")))
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            });
        let peer = ClientAddr { ip: PEER.parse().expect("an address"), https: false };
        let client = TrustedProxies::new(networks.to_vec()).client(peer, &map);
        (client.ip.to_string(), client.https)
    }

    #[test]
    fn first_untrusted_hop_from_the_right_is_the_client() {
        for (list, client) in [
            ("192.0.2.7", "192.0.2.7"),
            ("6.6.6.6, 192.0.2.7", "192.0.2.7"),
            ("6.6.6.6, 192.0.2.7, 10.9.9.9,10.1.1.1", "192.0.2.7"),
            ("10.2.2.2, 10.1.1.1", "10.2.2.2"),
            ("192.0.2.7:4711", "192.0.2.7"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("192.0.2.7, fd00::1", "192.0.2.7"),
            ("::ffff:192.0.2.7, ::ffff:10.1.1.1", "192.0.2.7"),
        ] {
            assert_eq!(seen(&[("x-forwarded-for", list)]).0, client, "{list}");
        }
    }

    #[test]
    fn several_header_lines_are_one_list() {
        let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "10.1.1.1")];
        assert_eq!(seen(&lines).0, "192.0.2.7");
    }

    #[test]
    fn malformed_forwarded_list_is_ignored() {
        for list in ["", "unknown", "192.0.2.7, banana", "192.0.2.7,", "10.1.1.1, 1.2.3", "_hidden, 10.1.1.1"] {
            assert_eq!(seen(&[("x-forwarded-for", list)]).0, PEER, "{list}");
        }
        assert_eq!(seen(&[]).0, PEER);
    }

    #[test]
    fn forwarded_of_rfc_7239_is_read_as_the_other_is() {
        for (list, client) in [
            ("for=192.0.2.7", "192.0.2.7"),
            ("for=6.6.6.6, For=192.0.2.7;proto=https;by=10.0.0.1, for=10.1.1.1", "192.0.2.7"),
            ("for=\"[2001:db8::1]:4711\";host=locks", "2001:db8::1"),
            ("for=unknown", PEER),
            ("for=192.0.2.7, proto=https", PEER),
        ] {
            assert_eq!(seen(&[("forwarded", list)]).0, client, "{list}");
        }
        assert!(seen(&[("forwarded", "for=192.0.2.7;proto=https")]).1);
    }

    #[test]
    fn contradicting_forwarded_headers_are_ignored() {
        let both = |old, new| seen(&[("x-forwarded-for", old), ("forwarded", new)]).0;
        assert_eq!(both("192.0.2.7", "for=192.0.2.7"), "192.0.2.7");
        assert_eq!(both("192.0.2.7", "for=127.0.0.1"), PEER);
        assert_eq!(both("127.0.0.1", "for=192.0.2.7"), PEER);
        assert_eq!(both("192.0.2.7", "for=unknown"), PEER);
    }

    #[test]
    fn scheme_comes_from_the_nearest_proxy() {
        for (list, https) in [("https", true), ("http, https", true), ("https, http", false), ("gopher", false)] {
            assert_eq!(seen(&[("x-forwarded-proto", list)]).1, https, "{list}");
        }
    }
}
