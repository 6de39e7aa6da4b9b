//! The addresses under which nodes reach each other.

use crate::raft::MemberError;

/// Accepts an `https` URL with host and port.
pub fn check_address(address: &str) -> Result<(), MemberError> {
    let authority = address.strip_prefix("https://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let is_name = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    let is_host = |host: &str| match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    let parts = authority.and_then(|authority| authority.rsplit_once(':'));
    match parts {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(()),
        _ => Err(MemberError::BadAddress(address.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_urls_with_host_and_port() {
        for good in ["https://10.0.0.1:9443", "https://[::1]:1", "https://node-1.locks.svc:9443/"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        let bad =
            ["http://10.0.0.1:9443", "10.0.0.1:9443", "https://10.0.0.1", "https://h:0", "https://:1", "https://[h]:1"];
        for bad in bad.into_iter().chain(["https://h:70000", "https://h:1/x", "https://a b:1", "https://u@h:1", ""]) {
            assert_eq!(check_address(bad), Err(MemberError::BadAddress(bad.to_owned())), "{bad}");
        }
    }
}
