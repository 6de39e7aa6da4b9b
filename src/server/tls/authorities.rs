//! Judges client certificates by the authorities of now: a connection may be older than they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;
use rustls::ServerConnection;
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;

use super::x509;
use crate::access::ClientCertificate;

/// The verifier in use, and how many there were before it.
#[derive(Default)]
pub struct Authorities(RwLock<(u64, Option<Arc<dyn ClientCertVerifier>>)>);

impl Authorities {
    pub fn set(&self, verifier: Option<Arc<dyn ClientCertVerifier>>) {
        let mut current = self.0.write();
        *current = (current.0 + 1, verifier);
    }

    /// The certificate that the client of this connection has shown, also where it took up an earlier session.
    pub fn certificate(self: &Arc<Self>, connection: &ServerConnection) -> Option<ClientCertificate> {
        let chain: Vec<_> = connection.peer_certificates()?.iter().map(|one| one.clone().into_owned()).collect();
        let (names, not_after) = x509::client_names(chain.first()?)?;
        let (authorities, judged) = (Arc::clone(self), AtomicU64::new(0));
        let trust = move || {
            let current = authorities.0.read();
            let (trusted, refused) = (2 * current.0 + 1, 2 * current.0);
            let known = judged.load(Relaxed);
            if known == trusted || known == refused {
                return known == trusted;
            }
            let verified = current.1.as_ref().is_some_and(|verifier| {
                chain
                    .split_first()
                    .is_some_and(|(first, rest)| verifier.verify_client_cert(first, rest, UnixTime::now()).is_ok())
            });
            judged.store(if verified { trusted } else { refused }, Relaxed);
            verified
        };
        Some(ClientCertificate::new(names, not_after, Arc::new(trust)))
    }
}
