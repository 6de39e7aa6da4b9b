//! A client's certificate: the names that an authority has put into it, and for how long they count.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::ending::Trust;
use super::identity::{Identity, Role};

/// A certificate with more names opens nothing: each is looked up.
const NAMES_MAX: usize = 64;

/// One name in a certificate. Names of two kinds are never the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateName {
    /// Such as `spiffe://prod/ci`.
    Uri(String),
    Dns(String),
    Email(String),
    Ip(IpAddr),
    /// The whole subject, as RFC 4514 writes it.
    Subject(String),
}

impl CertificateName {
    /// A subject alternative name with its kind: `URI:spiffe://prod/ci`, `DNS:ci.example`, `email:ci@example`, `IP:10.0.0.1`.
    /// Refuses what no certificate has. Names are compared as a whole, so a `*` would stand for itself.
    pub fn parse(text: &str) -> Option<CertificateName> {
        let (kind, name) = text.split_once(':').filter(|(_, name)| !name.is_empty())?;
        match &*kind.to_ascii_lowercase() {
            "uri" if name.contains(':') && !name.contains('*') => Some(CertificateName::Uri(name.to_owned())),
            "dns" if is_host(name) => Some(CertificateName::Dns(name.to_ascii_lowercase())),
            "email" if name.contains('@') && !name.contains('*') => Some(CertificateName::Email(name.to_owned())),
            "ip" => name.parse().ok().map(CertificateName::Ip),
            _ => None,
        }
    }
}

/// A certificate may have a whole label of `*` in front.
fn is_host(name: &str) -> bool {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// The certificate of one connection, whose client has the key of it.
#[derive(Clone)]
pub struct ClientCertificate {
    names: Vec<CertificateName>,
    not_after: u64,
    trust: Trust,
    /// Of its last request.
    caller: Arc<ArcSwapOption<CertificateCaller>>,
}

/// Whom a certificate makes the caller by one ring of credentials, so that only its first request looks.
struct CertificateCaller {
    ring: u64,
    identity: Option<Identity>,
}

impl ClientCertificate {
    /// `not_after` in seconds since 1970.
    pub fn new(names: Vec<CertificateName>, not_after: u64, trust: Trust) -> ClientCertificate {
        ClientCertificate { names, not_after, trust, caller: Arc::default() }
    }

    /// The caller by the ring with this number; `look` finds it where the last request had another ring.
    pub(super) fn caller_by(&self, ring: u64, look: impl FnOnce() -> Option<Identity>) -> Option<Identity> {
        if let Some(known) = self.caller.load().as_ref().filter(|known| known.ring == ring) {
            return known.identity.clone();
        }
        let identity = look();
        self.caller.store(Some(Arc::new(CertificateCaller { ring, identity: identity.clone() })));
        identity
    }

    /// None where there are too many.
    pub(super) fn names(&self) -> &[CertificateName] {
        if self.names.len() <= NAMES_MAX { &self.names } else { &[] }
    }

    pub(super) fn not_after(&self) -> u64 {
        self.not_after
    }

    pub(super) fn trust(&self) -> Trust {
        Arc::clone(&self.trust)
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Whom a certificate with one of these names makes the caller.
#[derive(Clone, Debug)]
pub struct CertificateRule {
    /// As of a key: it stands for the caller.
    pub name: String,
    pub names: Vec<CertificateName>,
    pub role: Role,
    pub prefixes: Vec<String>,
}
