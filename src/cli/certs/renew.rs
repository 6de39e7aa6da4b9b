//! Replaces the certificates of nodes, and the authority in two steps.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::Failure;
use super::authority::{
    CA_CERT, CA_KEY, CA_YEARS, Folder, HERE, NODE_YEARS, Pair, cert_name, key_name, new_authority, node_pair,
};
use crate::server::tls::x509::described;

#[derive(Debug, Args)]
pub struct Renew {
    /// Where `init` made the files; ca.key must be there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Ids of the nodes to renew, as 1,3; every node with a certificate in DIR unless given
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    nodes: Vec<u64>,
}

#[derive(Debug, Args)]
pub struct OfAuthority {
    /// Where `init` made the files; ca.key must be there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

impl Renew {
    /// New keys and certificates for the names of the old ones.
    pub fn run(&self) -> Result<String, Failure> {
        let (folder, dir) = (Folder(&self.dir), self.dir.display());
        let known = folder.nodes()?;
        let asked: BTreeSet<u64> = self.nodes.iter().copied().collect();
        if let Some(missing) = asked.iter().find(|id| !known.contains(id)) {
            let what_to_do = "`latchd certs add` makes its first one";
            return Err(format!("node {missing} has no certificate in {dir}: {what_to_do}").into());
        }
        let chosen = if asked.is_empty() { known } else { asked };
        if chosen.is_empty() {
            return Err(format!("{dir} has no node's certificate: `latchd certs init` makes them").into());
        }
        let authority = folder.authority()?;
        let mut pairs: Vec<(u64, Pair)> = Vec::new();
        for id in chosen {
            pairs.push((id, node_pair(&authority, id, &hosts(&folder, id)?).map_err(Failure::from_error)?));
        }
        check_trusted(&folder, &pairs)?;
        let files = pairs.iter().flat_map(|(id, Pair { cert, key })| {
            [(key_name(*id), key.as_str(), 0o600), (cert_name(*id), cert.as_str(), 0o644)]
        });
        folder.replace(&files.collect::<Vec<_>>())?;
        let ids: Vec<String> = pairs.iter().map(|(id, _)| id.to_string()).collect();
        Ok(format!(
            "Renewed in {dir} for {NODE_YEARS} years: node {}.\nGive each node its own pair in the place of the old one: \
             it is used from the next connection on, without a restart.\n",
            ids.join(", node ")
        ))
    }
}

impl OfAuthority {
    /// Adds an authority, whose key signs from now on. Every node must trust it before one uses a certificate from it.
    pub fn rotate(&self) -> Result<String, Failure> {
        let folder = Folder(&self.dir);
        // Without its key, the old authority must not be replaced.
        folder.authority()?;
        let before = folder.read(CA_CERT)?;
        if described(before.as_bytes()).len() > 1 {
            return Err(format!(
                "{} holds more than one authority already: finish with `latchd certs renew`, then `latchd certs retire`",
                folder.path(CA_CERT).display()
            ).into());
        }
        let (_, made) = new_authority().map_err(Failure::from_error)?;
        let both = format!("{}{before}", made.cert);
        folder.replace(&[(CA_CERT.to_owned(), &both, 0o644), (CA_KEY.to_owned(), &made.key, 0o600)])?;
        Ok(format!(
            "A new authority is in {} for {CA_YEARS} years; {CA_CERT} holds it and the old one.\n\
             1. Give every node the new {CA_CERT}; it is read again without a restart.\n\
             2. When all have it: `latchd certs renew`, and give each node its pair.\n\
             3. When all have theirs: `latchd certs retire`, and give every node the {CA_CERT} without the old one.\n",
            self.dir.display()
        ))
    }

    /// Only the newest authority stays trusted.
    pub fn retire(&self) -> Result<String, Failure> {
        let folder = Folder(&self.dir);
        let pem = folder.read(CA_CERT)?;
        if described(pem.as_bytes()).len() < 2 {
            return Err(format!(
                "{} holds one authority, so there is none to retire: `latchd certs rotate` makes a new one",
                folder.path(CA_CERT).display()
            )
            .into());
        }
        let newest: String = pem.split_inclusive("-----END CERTIFICATE-----").take(1).chain(["\n"]).collect();
        for id in folder.nodes()? {
            if !is_from(&newest, &folder.read(&cert_name(id))?) {
                return Err(format!(
                    "node {id} would not be trusted any more: its certificate is from the old authority. Renew it with \
                     `latchd certs renew --dir {} --nodes {id}`, give it to the node, and ask again",
                    self.dir.display()
                )
                .into());
            }
        }
        folder.replace(&[(CA_CERT.to_owned(), &newest, 0o644)])?;
        Ok(format!("{CA_CERT} in {} holds the new authority alone. Give it to every node.\n", self.dir.display()))
    }
}

/// The names in the old certificate of a node.
fn hosts(folder: &Folder<'_>, id: u64) -> Result<Vec<String>, Failure> {
    let name = cert_name(id);
    let old = described(folder.read(&name)?.as_bytes()).into_iter().next();
    let old = old.ok_or_else(|| format!("{} holds no PEM certificate", folder.path(&name).display()))?;
    // Every pair gets the names of this machine.
    Ok(old.names.into_iter().filter(|name| !HERE.contains(&name.as_str())).collect())
}

/// Checks that ca.pem trusts the new pairs: its key may be another one.
fn check_trusted(folder: &Folder<'_>, pairs: &[(u64, Pair)]) -> Result<(), Failure> {
    let authorities = folder.read(CA_CERT)?;
    if pairs.iter().all(|(_, pair)| is_from(&authorities, &pair.cert)) {
        return Ok(());
    }
    let (key, cert) = (folder.path(CA_KEY), folder.path(CA_CERT));
    let what = format!("{} is not the key of {}, or that has expired", key.display(), cert.display());
    Err(format!("{what}: nothing was changed. `latchd certs rotate` makes a new authority").into())
}

/// Whether one of the authorities has signed the certificate, and both are valid now.
fn is_from(authorities: &str, cert: &str) -> bool {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()).flatten() {
        drop(roots.add(authority));
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let (Ok(verifier), Ok(cert)) = (verifier, CertificateDer::from_pem_slice(cert.as_bytes())) else { return false };
    let Ok(name) = ServerName::try_from(HERE[0]) else { return false };
    verifier.verify_server_cert(&cert, &[], &name, &[], UnixTime::now()).is_ok()
}
