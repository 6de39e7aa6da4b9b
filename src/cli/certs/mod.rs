//! `latchd certs`: makes and renews an authority and the certificates of nodes.

mod authority;
mod renew;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, output_queue};
use authority::{
    Authority, CA_CERT, CA_KEY, CA_YEARS, Folder, NODE_YEARS, cert_name, key_name, new_authority, node_pair,
};
use renew::{OfAuthority, Renew};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Certs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a new authority, and a pair for each node
    #[command(after_help = INIT)]
    Init(Nodes),
    /// Makes pairs for further nodes from the authority of `init`, or new ones for old nodes in another directory
    #[command(after_help = ADD)]
    Add(Nodes),
    /// Makes new pairs in the place of the nodes' old ones, for the same names
    #[command(after_help = RENEW)]
    Renew(Renew),
    /// Makes a new authority beside the old one: the first step of replacing it
    #[command(after_help = ROTATE)]
    Rotate(OfAuthority),
    /// Takes the old authority out of ca.pem, when every node has a pair from the new one
    #[command(after_help = RETIRE)]
    Retire(OfAuthority),
}

#[derive(Debug, Args)]
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
  latchd certs add --dir pki --nodes 4=node-4.example,4=10.0.0.4
  latchd certs renew --dir pki
  latchd certs rotate --dir pki
  latchd certs retire --dir pki";

const INIT: &str = "Each node gets ca.pem and its own pair. ca.key stays off the nodes: whoever has it can join.

Examples:
  latchd certs init --dir pki --nodes 1=10.0.0.1,2=10.0.0.2,3=10.0.0.3
  latchd certs init --dir pki --nodes 1=localhost,2=localhost,3=localhost";

const ADD: &str = "Examples:
  latchd certs add --dir pki --nodes 4=node-4.example,4=10.0.0.4";

const RENEW: &str = "Give each node its new pair in the place of the old one: it is served without a restart.

Examples:
  latchd certs renew --dir pki
  latchd certs renew --dir pki --nodes 1,3";

const ROTATE: &str = "The three steps: `rotate`, and ca.pem to every node; `renew`, and its pair to every node; `retire`, and ca.pem again.

Examples:
  latchd certs rotate --dir pki";

const RETIRE: &str = "The last step, after `rotate` and `renew`: give every node the new ca.pem then.

Examples:
  latchd certs retire --dir pki";

impl Certs {
    pub fn run(self) -> Result<(), Failure> {
        let made = match &self.action {
            Action::Init(nodes) => nodes.make(true),
            Action::Add(nodes) => nodes.make(false),
            Action::Renew(renew) => renew.run(),
            Action::Rotate(authority) => authority.rotate(),
            Action::Retire(authority) => authority.retire(),
        };
        output_queue::report(made?);
        Ok(())
    }
}

impl Nodes {
    fn make(&self, is_new: bool) -> Result<String, Failure> {
        let (folder, by_id) = (Folder(&self.dir), self.by_id());
        check_absent(&self.dir, is_new, by_id.keys())?;
        fs::create_dir_all(&self.dir).map_err(|error| Failure::unwritable(&self.dir, error))?;
        let authority = if is_new { begin(&folder)? } else { folder.authority()? };
        for (id, hosts) in &by_id {
            let pair = node_pair(&authority, *id, hosts).map_err(Failure::from_error)?;
            folder.create(&cert_name(*id), &key_name(*id), &pair)?;
        }
        Ok(next_steps(&self.dir, &by_id))
    }

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
    // A name that rustls cannot check in a certificate cannot be dialled.
    rustls::pki_types::ServerName::try_from(host)
        .map_err(|_| format!("{host:?} is neither a host name nor an address; leave scheme and port out"))?;
    Ok((id, host.to_owned()))
}

/// Refuses to overwrite files, before any is written.
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

fn begin(folder: &Folder<'_>) -> Result<Authority, Failure> {
    let (authority, pair) = new_authority().map_err(Failure::from_error)?;
    folder.create(CA_CERT, CA_KEY, &pair)?;
    Ok(authority)
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
