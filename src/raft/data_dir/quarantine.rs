//! Quarantine: a data directory whose state was not that of the other nodes serves nobody any more.

use std::fs::{self, File};
use std::path::Path;

use crate::raft::data_dir::directory::sync_dir;
use crate::raft::error::NodeStartError;

const FILE: &str = "set-aside";

/// Has every later start refuse what is stored in `dir`.
pub fn mark(dir: &Path) {
    let path = dir.join(FILE);
    let text = "The table stored here was not that of the other nodes.\n";
    let written = fs::write(&path, text).and_then(|()| File::open(&path)?.sync_all()).and_then(|()| sync_dir(dir));
    if let Err(error) = written {
        tracing::error!(%error, file = %path.display(), "cannot be written: a restart would serve again");
    }
}

pub fn check(dir: &Path, node_id: u64) -> Result<(), NodeStartError> {
    match dir.join(FILE).exists() {
        true => Err(NodeStartError::Quarantined { dir: dir.to_owned(), node_id }),
        false => Ok(()),
    }
}
