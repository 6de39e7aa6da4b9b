//! Snapshot files: what was written is read, and any damage is noticed.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use crate::base::codec::hex;
use crate::raft::snapshot::file::{open_snapshot, snapshot_writer};
use crate::raft::types::{StoredMembership, snapshot_meta};

fn write(path: &Path, content: &[u8]) {
    let meta = snapshot_meta(None, StoredMembership::default());
    let mut writer = snapshot_writer(File::create(path).expect("a file"), &meta, File::flush).expect("a header");
    writer.write_all(content).expect("the content");
    writer.finish().expect("the trailer");
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let (_, mut reader) = open_snapshot(path)?;
    let mut content = Vec::new();
    reader.read_to_end(&mut content)?;
    reader.verify_rest()?;
    Ok(content)
}

/// The format, written out: a change here is a new version of it.
#[test]
fn snapshot_file_has_golden_bytes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("s");
    write(&path, b"locks");
    let found = hex(&fs::read(&path).expect("the file"));
    let header = "4c41544348534e50 00000001 0000000c a5 00 00 a4 00000000 00000000 9cf0190e";
    let chunk = "00000005 dc1a8e24 6c6f636b73";
    let trailer = "00000000 00000001 0000000000000005 1cc426a3";
    assert_eq!(found, [header, chunk, trailer].concat().replace(' ', ""));
}

#[test]
fn flipped_bits_and_missing_bytes_of_snapshot_are_noticed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("s");
    write(&path, b"what the locks are");
    let good = fs::read(&path).expect("the file");
    assert_eq!(read(&path).expect("a whole file"), b"what the locks are");
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            fs::write(&path, &bad).expect("a damaged file");
            read(&path).expect_err("a flipped bit");
        }
        fs::write(&path, &good[..at]).expect("a short file");
        read(&path).expect_err("a missing end");
    }
    fs::write(&path, [good.as_slice(), b"x"].concat()).expect("a long file");
    read(&path).expect_err("something after the end");
}
