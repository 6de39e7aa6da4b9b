//! The files of an authority and its nodes, in one directory.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::KeyPair;

use super::issue::{Authority, Pair, authority_of};
use crate::cli::Failure;

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
        Ok(authority_of(key))
    }

    /// Writes the pair of a node, the key first: a certificate without a key would look complete.
    pub fn create_pair(&self, id: u64, pair: &Pair) -> Result<(), Failure> {
        self.create(&key_name(id), &pair.key, 0o600)?;
        self.create(&cert_name(id), &pair.cert, 0o644)
    }

    /// Writes a file that does not exist.
    pub fn create(&self, name: &str, pem: &str, mode: u32) -> Result<(), Failure> {
        let path = self.path(name);
        write_new(&path, pem, mode).map_err(|error| unwritable(&path, &error))
    }

    /// Replaces files. All new ones are written before the first is renamed, so that a full disk changes nothing.
    pub fn replace(&self, files: &[(String, &str, u32)]) -> Result<(), Failure> {
        let drafts = files.iter().map(|(name, ..)| self.path(&format!("{name}.new"))).collect::<Vec<_>>();
        let written = files.iter().zip(&drafts).try_for_each(|((_, pem, mode), draft)| {
            drop(fs::remove_file(draft));
            write_new(draft, pem, *mode).map_err(|error| unwritable(draft, &error))
        });
        if written.is_err() {
            drafts.iter().for_each(|draft| drop(fs::remove_file(draft)));
            return written;
        }
        for ((name, ..), draft) in files.iter().zip(&drafts) {
            let path = self.path(name);
            fs::rename(draft, &path).map_err(|error| unwritable(&path, &error))?;
        }
        Ok(())
    }
}

fn write_new(path: &Path, pem: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()
}

pub fn unwritable(path: &Path, error: &io::Error) -> Failure {
    format!("{} cannot be written: {error}", path.display()).into()
}

pub fn cert_name(id: u64) -> String {
    format!("node{id}.pem")
}

pub fn key_name(id: u64) -> String {
    format!("node{id}.key")
}
