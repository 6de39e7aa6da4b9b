//! An authority and the certificates that it issues, and their files in one directory.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::UnixTime;

use crate::cli::Failure;

const YEAR: Duration = Duration::from_secs(365 * 86_400);
pub const CA_YEARS: u32 = 10;
pub const NODE_YEARS: u32 = 2;
/// The clock of a peer may be slow.
const DAY: Duration = Duration::from_secs(86_400);

pub type Authority = Issuer<'static, KeyPair>;

/// A certificate and its key, as PEM.
pub struct Pair {
    pub cert: String,
    pub key: String,
}

pub fn new_authority() -> Result<(Authority, Pair), rcgen::Error> {
    let key = KeyPair::generate()?;
    let params = authority_params();
    let pair = Pair { cert: params.self_signed(&key)?.pem(), key: key.serialize_pem() };
    Ok((Issuer::new(params, key), pair))
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "latchd peer authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, CA_YEARS);
    params
}

/// A pair for both directions of the traffic between nodes.
pub fn node_pair(authority: &Authority, id: u64, hosts: &[String]) -> Result<Pair, rcgen::Error> {
    let mut names = hosts.to_vec();
    names.extend(HERE.map(str::to_owned).into_iter().filter(|name| !hosts.contains(name)));
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, format!("latchd node {id}"));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, NODE_YEARS);
    let key = KeyPair::generate()?;
    Ok(Pair { cert: params.signed_by(&key, authority)?.pem(), key: key.serialize_pem() })
}

/// The names of this machine, which are in every pair.
pub const HERE: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

fn set_validity(params: &mut CertificateParams, years: u32) {
    // The wall clock is used for certificates only, never for locks.
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(UnixTime::now().as_secs());
    params.not_before = now - DAY;
    params.not_after = now + YEAR * years;
}

pub const CA_CERT: &str = "ca.pem";
pub const CA_KEY: &str = "ca.key";

pub struct Folder<'a>(pub &'a Path);

impl Folder<'_> {
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The nodes that have a certificate here.
    pub fn nodes(&self) -> Result<BTreeSet<u64>, Failure> {
        let unreadable = |error: io::Error| format!("{} cannot be read: {error}", self.0.display());
        let mut nodes = BTreeSet::new();
        for entry in fs::read_dir(self.0).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let id =
                name.to_str().and_then(|name| name.strip_prefix("node")?.strip_suffix(".pem")?.parse::<u64>().ok());
            nodes.extend(id.filter(|id| *id > 0));
        }
        Ok(nodes)
    }

    pub fn read(&self, name: &str) -> Result<String, Failure> {
        let path = self.path(name);
        fs::read_to_string(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()).into())
    }

    pub fn authority(&self) -> Result<Authority, Failure> {
        let path = self.path(CA_KEY);
        let what_to_do = "`latchd certs init` makes the authority";
        let pem = fs::read_to_string(&path)
            .map_err(|error| format!("{} cannot be read ({error}): {what_to_do}", path.display()))?;
        let key = KeyPair::from_pem(&pem).map_err(|error| format!("{} is no private key: {error}", path.display()))?;
        // An issuer needs only its name and its key, not its certificate.
        Ok(Issuer::new(authority_params(), key))
    }

    /// Writes files that do not exist, the key first: a certificate without a key would look complete.
    pub fn create(&self, cert: &str, key: &str, pair: &Pair) -> Result<(), Failure> {
        [(key, &pair.key, 0o600), (cert, &pair.cert, 0o644)].iter().try_for_each(|(name, pem, mode)| {
            let path = self.path(name);
            write_new(&path, pem, *mode).map_err(|error| Failure::unwritable(&path, error))
        })
    }

    /// Replaces files. All new ones are written before the first is renamed, so that a full disk changes nothing.
    pub fn replace(&self, files: &[(String, &str, u32)]) -> Result<(), Failure> {
        let drafts = files.iter().map(|(name, ..)| self.path(&format!("{name}.new"))).collect::<Vec<_>>();
        let written = files.iter().zip(&drafts).try_for_each(|((_, pem, mode), draft)| {
            drop(fs::remove_file(draft));
            write_new(draft, pem, *mode).map_err(|error| Failure::unwritable(draft, error))
        });
        if written.is_err() {
            drafts.iter().for_each(|draft| drop(fs::remove_file(draft)));
            return written;
        }
        for ((name, ..), draft) in files.iter().zip(&drafts) {
            let path = self.path(name);
            fs::rename(draft, &path).map_err(|error| Failure::unwritable(&path, error))?;
        }
        Ok(())
    }
}

fn write_new(path: &Path, pem: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()
}

pub fn cert_name(id: u64) -> String {
    format!("node{id}.pem")
}

pub fn key_name(id: u64) -> String {
    format!("node{id}.key")
}
