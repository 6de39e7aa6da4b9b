//! The identity of a data directory: random, made with the directory, and never changed.
//!
//! The replicated state has the store id of each node, so that the cluster can tell a node whose disk was lost from one
//! that has restarted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::base::codec::hex;
use crate::raft::data_dir::directory::{replace_file, sync_dir};
use crate::raft::error::NodeStartError;
use crate::raft::log::position;

pub const FILE: &str = "store-id";
/// The first line in older releases, without a checksum; still read.
const FIRST_PREFIX: &str = "latchd store 1";
const PREFIX: &str = "latchd store 2";
/// The id of the only node, before there was this file.
const FIRST_NODE: u64 = 1;

/// This file is there from before the id is made until a vote is stored: a store that is empty without it was emptied.
const UNUSED: &str = "unused";

/// Refuses an empty store that once held something: what it acknowledged is lost. If that is accepted, the store gets another
/// id, so that a cluster treats the node as one that has lost its disk.
pub fn check_not_emptied(dir: &Path, node_id: u64, accepted: bool) -> Result<(), NodeStartError> {
    let path = dir.join(FILE);
    if !path.exists() || dir.join(UNUSED).exists() {
        return Ok(());
    }
    if !accepted {
        return Err(NodeStartError::Emptied { dir: dir.to_owned(), node_id });
    }
    tracing::warn!(dir = %dir.display(), "what was stored here is gone: the node starts empty, because --accept-empty is set");
    fs::remove_file(&path).and_then(|()| sync_dir(dir)).map_err(|e| NodeStartError::io(&path, e))
}

/// Whether the directory was made by a release without the file `position`.
pub fn is_older_than_position(dir: &Path) -> bool {
    fs::read_to_string(dir.join(FILE)).map_or(true, |text| text.starts_with(FIRST_PREFIX))
}

/// Notes that the store holds something from now on.
pub fn mark_used(dir: &Path) -> io::Result<()> {
    match fs::remove_file(dir.join(UNUSED)) {
        Ok(()) => sync_dir(dir),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Reads the id of the store in `dir`, or makes one; refuses the directory of another node.
pub fn open(dir: &Path, node_id: u64, store_is_empty: bool) -> Result<[u8; 16], NodeStartError> {
    let path = dir.join(FILE);
    let (owner, id) = match fs::read_to_string(&path) {
        Ok(text) => parse(&text).ok_or_else(|| {
            let form = format!(
                "it does not read \"{PREFIX} node NUMBER id 32 HEX DIGITS crc32 CHECKSUM\" with its own checksum"
            );
            NodeStartError::damaged(&path, 0, form)
        })?,
        // Releases that write positions make an id before the first position.
        Err(e) if e.kind() == io::ErrorKind::NotFound && !store_is_empty && position::is_there(dir) => {
            return Err(NodeStartError::damaged(&path, 0, "it is missing"));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let owner = if store_is_empty { node_id } else { FIRST_NODE };
            let id = crate::base::random::random_id();
            let unused = if store_is_empty { mark_unused(dir) } else { Ok(()) };
            unused.and_then(|()| write(dir, owner, &id)).map_err(|e| NodeStartError::io(&path, e))?;
            (owner, id)
        }
        Err(e) => return Err(NodeStartError::unreadable(&path, 0, e)),
    };
    if owner != node_id {
        return Err(NodeStartError::OtherNode { node_id, found: vec![owner] });
    }
    Ok(id)
}

fn mark_unused(dir: &Path) -> io::Result<()> {
    let mut file = File::create(dir.join(UNUSED))?;
    writeln!(file, "Nothing was stored here yet.")?;
    file.sync_all()?;
    sync_dir(dir)
}

fn write(dir: &Path, node: u64, id: &[u8; 16]) -> io::Result<()> {
    let text = format!("{PREFIX} node {node} id {}", hex(id));
    replace_file(&dir.join(FILE), &format!("{text} crc32 {:08x}", crc32fast::hash(text.as_bytes())))?;
    sync_dir(dir)
}

fn parse(text: &str) -> Option<(u64, [u8; 16])> {
    let text = text.trim_end();
    let said = match text.strip_prefix(PREFIX) {
        Some(_) => {
            let (said, checksum) = text.rsplit_once(" crc32 ")?;
            let is_own = checksum == format!("{:08x}", crc32fast::hash(said.as_bytes()));
            said.strip_prefix(PREFIX).filter(|_| is_own)?
        }
        None => text.strip_prefix(FIRST_PREFIX)?,
    };
    let (node, hex) = said.strip_prefix(" node ")?.split_once(" id ")?;
    let whole = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = whole.then(|| u128::from_str_radix(hex, 16).ok())??;
    Some((node.parse().ok()?, id.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_id_is_made_once_for_one_node() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let made = open(dir.path(), 7, true).expect("made");
        assert_eq!(open(dir.path(), 7, false).expect("read"), made);
        let refused = open(dir.path(), 8, false).expect_err("another node's");
        assert!(matches!(refused, NodeStartError::OtherNode { node_id: 8, ref found } if *found == [7]), "{refused}");
        let other = tempfile::tempdir().expect("a temporary directory");
        assert_ne!(open(other.path(), 7, true).expect("made"), made);
    }

    /// The bytes in the file: a change here is a new format.
    #[test]
    fn store_id_file_has_golden_text() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let first = "latchd store 1 node 3 id 000102030405060708090a0b0c0d0e0f\n";
        let text = "latchd store 2 node 3 id 000102030405060708090a0b0c0d0e0f crc32 22caa6d8\n";
        let id = std::array::from_fn(|at| at as u8);
        for known in [first, text] {
            fs::write(dir.path().join(FILE), known).expect("written");
            assert_eq!(open(dir.path(), 3, false).expect("read"), id);
        }
        fs::remove_file(dir.path().join(FILE)).expect("removed");
        write(dir.path(), 3, &id).expect("written");
        assert_eq!(fs::read_to_string(dir.path().join(FILE)).expect("read"), text);
        let mut bads =
            vec![String::new(), first.replace('f', "g"), first.replace("00", "0"), text.replace("store 2", "store 3")];
        // The checksum shows a change of any byte.
        bads.extend((0..text.len() - 1).map(|at| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1;
            String::from_utf8(bytes).expect("ASCII")
        }));
        for bad in &bads {
            fs::write(dir.path().join(FILE), bad).expect("written");
            assert!(matches!(open(dir.path(), 3, false), Err(NodeStartError::Damaged { .. })), "{bad:?}");
        }
    }

    /// Directories of the first version have no such file.
    #[test]
    fn data_directory_without_store_id_belongs_to_node_1() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        open(dir.path(), 2, false).expect_err("it is node 1's");
        open(dir.path(), 1, false).expect("its own");
    }
}
