//! Quarantine of a data directory whose state differed from that of the other nodes: no later start uses it.

use std::fs::{self, File};
use std::path::Path;

use crate::raft::data_dir::directory::sync_dir;
use crate::raft::error::NodeStartError;

const FILE: &str = "set-aside";

/// Makes every later start refuse `dir`.
pub fn mark(dir: &Path) {
    let path = dir.join(FILE);
    let text = "The table stored here was not that of the other nodes.\n";
    let written = fs::write(&path, text).and_then(|()| File::open(&path)?.sync_all()).and_then(|()| sync_dir(dir));
    if let Err(error) = written {
        tracing::error!(%error, file = %path.display(), "the quarantine cannot be written: a restart would serve again");
    }
}

pub fn check(dir: &Path, node_id: u64) -> Result<(), NodeStartError> {
    match dir.join(FILE).exists() {
        true => Err(NodeStartError::Quarantined { dir: dir.to_owned(), node_id }),
        false => Ok(()),
    }
}
