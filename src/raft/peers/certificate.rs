//! For which node a certificate is.
//!
//! Every certificate of the cluster's authority opens the port between nodes. So that a certificate does not open it for
//! every node id, a connection of node 3 must show the certificate of node 3: its common name names no other node
//! (`latchd certs` writes the id there), and it is valid for the host in the address of node 3.

use std::io;

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

use crate::mutants::planted;
use crate::raft::types::NodeId;

/// The common name of a node's certificate, as `latchd certs` makes it, without the node's id behind it.
const NODE_NAME_PREFIX: &str = "latchd node ";

/// `id-at-commonName`, as an object identifier in DER.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];

/// The certificate of which the other side of a connection has proven to have the key.
#[derive(Debug, Clone)]
pub struct PeerCertificate(pub CertificateDer<'static>);

impl PeerCertificate {
    /// Refuses the certificate of another node than `node`, whose address is at `host`, if that is known.
    pub(super) fn check(&self, node: NodeId, host: Option<&str>) -> io::Result<()> {
        planted!("any-certificate-believed" => return Ok(()));
        if let Some(named) = self.named_node().filter(|named| *named != node) {
            return Err(refused(format!("it says that it is node {node}, and shows the certificate of node {named}")));
        }
        let Some(host) = host else { return Ok(()) };
        let parsed = ParsedCertificate::try_from(&self.0).map_err(|error| refused(error.to_string()))?;
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        verify_server_name(&parsed, &name)
            .map_err(|_| refused(format!("it says that it is node {node}, and its certificate is not for {host}")))
    }

    /// The node that the common name of the certificate's subject names.
    fn named_node(&self) -> Option<NodeId> {
        let names = self.0.windows(COMMON_NAME.len()).enumerate().filter(|(_, window)| *window == COMMON_NAME);
        let texts = names.filter_map(|(at, _)| {
            // The kind of string, its length, its bytes.
            let (head, rest) = self.0.get(at + COMMON_NAME.len()..)?.split_at_checked(2)?;
            std::str::from_utf8(rest.get(..usize::from(head[1]))?).ok()
        });
        texts.filter_map(|text| text.strip_prefix(NODE_NAME_PREFIX)?.parse().ok()).next()
    }
}

pub(super) fn refused(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(common_name: &str, hosts: &[&str]) -> PeerCertificate {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("a key");
        PeerCertificate(params.self_signed(&key).expect("a certificate").der().clone())
    }

    #[test]
    fn certificate_is_accepted_for_node_in_its_name() {
        let of_3 = certificate("latchd node 3", &["10.0.0.3"]);
        assert_eq!(of_3.named_node(), Some(3));
        of_3.check(3, None).expect("its own");
        of_3.check(4, None).expect_err("another node's");
        assert_eq!(certificate("node-3.example", &["node-3.example"]).named_node(), None);
    }

    #[test]
    fn certificate_is_accepted_for_host_of_its_node() {
        let one = certificate("a machine", &["10.0.0.3", "node-3.example"]);
        one.check(3, Some("10.0.0.3")).expect("its address");
        one.check(3, Some("node-3.example")).expect("its name");
        one.check(4, Some("10.0.0.4")).expect_err("the address of another");
    }
}
