//! `latchd certs`: an authority and node pairs for the traffic between nodes.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::UnixTime;

use super::{Failure, speech, told};

const CA_CERT: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
const YEAR: Duration = Duration::from_secs(365 * 86_400);
const CA_YEARS: u32 = 10;
const NODE_YEARS: u32 = 2;
/// A peer's clock may be a little behind.
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Certs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a new authority, and a pair for each node
    Init(Nodes),
    /// Makes pairs for further nodes from the authority of `init`, or new ones for old nodes in another directory
    Add(Nodes),
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Nodes {
    /// Where the files are; made when missing. Nothing in it is overwritten
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Ids with the host name or address that peers dial, as 1=10.0.0.1,2=node-2.example; an id may have several
    #[arg(long, value_name = "LIST", required = true, value_delimiter = ',', value_parser = node)]
    nodes: Vec<(u64, String)>,
}

const EXAMPLES: &str = "Each node gets ca.pem and its own pair. ca.key stays off the nodes: whoever has it can join.

Examples:
  latchd certs init --dir pki --nodes 1=10.0.0.1,2=10.0.0.2,3=10.0.0.3
  latchd certs init --dir pki --nodes 1=localhost,2=localhost,3=localhost
  latchd certs add --dir pki --nodes 4=node-4.example,4=10.0.0.4";

impl Certs {
    pub fn run(self) -> Result<(), Failure> {
        let (Action::Init(nodes) | Action::Add(nodes)) = &self.action;
        let is_new = matches!(self.action, Action::Init(_));
        let by_id = nodes.by_id();
        check_absent(&nodes.dir, is_new, by_id.keys())?;
        fs::create_dir_all(&nodes.dir).map_err(|error| unwritable(&nodes.dir, error))?;
        let authority = if is_new { new_authority(&nodes.dir)? } else { read_authority(&nodes.dir)? };
        for (id, hosts) in &by_id {
            let (cert, key) = node_pair(&authority, *id, hosts).map_err(told)?;
            // The key first: a certificate without one would look finished.
            create(&nodes.dir.join(key_name(*id)), &key, 0o600)?;
            create(&nodes.dir.join(cert_name(*id)), &cert, 0o644)?;
        }
        speech::report(next_steps(&nodes.dir, &by_id));
        Ok(())
    }
}

impl Nodes {
    fn by_id(&self) -> BTreeMap<u64, Vec<String>> {
        let mut by_id: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (id, host) in &self.nodes {
            let hosts = by_id.entry(*id).or_default();
            if !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
        by_id
    }
}

/// `1=10.0.0.1`
fn node(text: &str) -> Result<(u64, String), String> {
    let parts = text.trim().split_once('=');
    let parsed = parts.and_then(|(id, host)| Some((id.parse().ok().filter(|id| *id > 0)?, host)));
    let (id, host) = parsed.ok_or_else(|| format!("{text:?} is not an id and a host, such as 1=10.0.0.1"))?;
    // What rustls cannot check in a certificate, no peer could dial.
    rustls::pki_types::ServerName::try_from(host)
        .map_err(|_| format!("{host:?} is neither a host name nor an address; leave scheme and port out"))?;
    Ok((id, host.to_owned()))
}

/// Refuses before anything is written.
fn check_absent<'a>(dir: &Path, is_new: bool, ids: impl Iterator<Item = &'a u64>) -> Result<(), Failure> {
    let authority = is_new.then(|| [CA_CERT, CA_KEY].map(str::to_owned)).into_iter().flatten();
    let names = ids.flat_map(|id| [cert_name(*id), key_name(*id)]);
    match authority.chain(names).map(|name| dir.join(name)).find(|path| path.exists()) {
        Some(path) => {
            let path = path.display();
            let what_to_do = "choose another --dir, or `latchd certs add`";
            Err(format!("{path} exists, and nothing is overwritten: {what_to_do}").into())
        }
        None => Ok(()),
    }
}

type Authority = Issuer<'static, KeyPair>;

fn new_authority(dir: &Path) -> Result<Authority, Failure> {
    let key = KeyPair::generate().map_err(told)?;
    let params = authority_params();
    let cert = params.self_signed(&key).map_err(told)?;
    create(&dir.join(CA_KEY), &key.serialize_pem(), 0o600)?;
    create(&dir.join(CA_CERT), &cert.pem(), 0o644)?;
    Ok(Issuer::new(params, key))
}

/// The name and the key are all that an issuer puts into what it signs, so the certificate need not be parsed.
fn read_authority(dir: &Path) -> Result<Authority, Failure> {
    let path = dir.join(CA_KEY);
    let what_to_do = "`latchd certs init` makes the authority";
    let pem = fs::read_to_string(&path)
        .map_err(|error| format!("{} cannot be read ({error}): {what_to_do}", path.display()))?;
    let key = KeyPair::from_pem(&pem).map_err(|error| format!("{} is no private key: {error}", path.display()))?;
    Ok(Issuer::new(authority_params(), key))
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "latchd peer authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    lives(&mut params, CA_YEARS);
    params
}

/// A node dials its peers and is dialled by them with the same pair.
fn node_pair(authority: &Authority, id: u64, hosts: &[String]) -> Result<(String, String), rcgen::Error> {
    let mut names = hosts.to_vec();
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned).into_iter().filter(|name| !hosts.contains(name)));
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, format!("latchd node {id}"));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    lives(&mut params, NODE_YEARS);
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, authority)?.pem(), key.serialize_pem()))
}

fn lives(params: &mut CertificateParams, years: u32) {
    // The wall clock judges certificates only, never a lock.
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(UnixTime::now().as_secs());
    params.not_before = now - DAY;
    params.not_after = now + YEAR * years;
}

fn cert_name(id: u64) -> String {
    format!("node{id}.pem")
}

fn key_name(id: u64) -> String {
    format!("node{id}.key")
}

fn create(path: &Path, pem: &str, mode: u32) -> Result<(), Failure> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| unwritable(path, error))
}

fn unwritable(path: &Path, error: io::Error) -> Failure {
    format!("{} cannot be written: {error}", path.display()).into()
}

fn next_steps(dir: &Path, nodes: &BTreeMap<u64, Vec<String>>) -> String {
    let dir = dir.display();
    let mut text = format!("Made in {dir}, for {NODE_YEARS} years (the authority: {CA_YEARS}):\n");
    for (id, hosts) in nodes {
        let (cert, key, hosts) = (cert_name(*id), key_name(*id), hosts.join(", "));
        text += &format!("  node {id}  {cert}, {key}  for {hosts}, localhost\n");
    }
    text += &format!(
        "Give each node {CA_CERT} and its own pair:\n  latchd serve --node-id ID --peer-listen https://HOST:9443 \
         --peers … \\\n    --peer-ca {CA_CERT} --peer-cert nodeID.pem --peer-key nodeID.key\nKeep {CA_KEY} somewhere \
         else: whoever has it can join the cluster.\n"
    );
    text
}
