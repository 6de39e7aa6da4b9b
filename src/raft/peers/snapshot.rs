//! Sends snapshots between nodes: the file as it is on disk, in chunks that are acknowledged one by one.
//!
//! A node without a disk sends the same file from memory. The receiver verifies the checksums before it installs the file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Buf, Bytes};

use crate::raft::codec::{decode, encode};
use crate::raft::data_dir::space::check_spares;
use crate::raft::peers::connection::{Connection, RequestError};
use crate::raft::peers::frame::MessageKind;
use crate::raft::peers::hello::Dialer;
use crate::raft::peers::message::SnapshotBegin;
use crate::raft::snapshot::file::{open_snapshot, snapshot_reader};
use crate::raft::types::{Raft, Snapshot, SnapshotBody, Vote};

const CHUNK_BYTES: usize = 1 << 20;
/// For one chunk to arrive and be written.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);
/// For the receiver to verify and load the whole snapshot; while it works on it, it sends signs of life.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);

/// Sends a snapshot on a connection of its own; returns the receiver's vote once it has installed it.
pub async fn send(dialer: Dialer, vote: Vote, snapshot: Snapshot) -> io::Result<Vote> {
    let begin = SnapshotBegin { vote, meta: snapshot.meta };
    let connection = Connection::new(dialer);
    let mut content = Content::open(*snapshot.snapshot)?;
    ask(&connection, MessageKind::SnapshotBegin, encode(&begin), CHUNK_TIMEOUT).await?;
    loop {
        let (chunk, rest) = content.next().await?;
        content = rest;
        if chunk.is_empty() {
            break;
        }
        ask(&connection, MessageKind::SnapshotChunk, chunk, CHUNK_TIMEOUT).await?;
    }
    decode(&ask(&connection, MessageKind::SnapshotEnd, Bytes::new(), INSTALL_TIMEOUT).await?)
}

async fn ask(connection: &Connection, kind: MessageKind, body: Bytes, timeout: Duration) -> io::Result<Bytes> {
    match tokio::time::timeout(timeout, connection.request(kind, body)).await {
        Ok(answer) => answer.map_err(|error: RequestError| io::Error::other(error)),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", timeout.as_secs()))),
    }
}

/// What is still to be sent.
enum Content {
    File(File),
    Memory(Bytes),
}

impl Content {
    fn open(body: SnapshotBody) -> io::Result<Content> {
        match body {
            SnapshotBody::File(path) => File::open(path).map(Content::File),
            SnapshotBody::Memory(bytes) => Ok(Content::Memory(bytes)),
            SnapshotBody::OnDemand => Err(io::Error::other("the snapshot has no content")),
        }
    }

    /// The next chunk, empty at the end. Files are read on a thread that may block.
    async fn next(self) -> io::Result<(Bytes, Content)> {
        match self {
            Content::Memory(mut bytes) => {
                let chunk = bytes.split_to(bytes.len().min(CHUNK_BYTES));
                Ok((chunk, Content::Memory(bytes)))
            }
            Content::File(mut file) => {
                blocking(move || {
                    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
                    (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
                    Ok((chunk.into(), Content::File(file)))
                })
                .await
            }
        }
    }
}

/// A snapshot that is being received on one connection.
pub struct Receiving {
    begin: SnapshotBegin,
    sink: Sink,
}

enum Sink {
    File(File, PathBuf),
    Memory(Vec<u8>),
}

impl Receiving {
    pub async fn begin(raft: &Raft, begin: SnapshotBegin) -> io::Result<Receiving> {
        let body = raft.begin_receiving_snapshot().await.map_err(io::Error::other)?;
        let sink = match *body {
            SnapshotBody::File(path) => blocking(move || Ok(Sink::File(File::create(&path)?, path))).await?,
            SnapshotBody::Memory(_) | SnapshotBody::OnDemand => Sink::Memory(Vec::new()),
        };
        Ok(Receiving { begin, sink })
    }

    pub async fn chunk(&mut self, chunk: Bytes) -> io::Result<()> {
        match &mut self.sink {
            Sink::Memory(bytes) => bytes.extend_from_slice(&chunk),
            Sink::File(file, path) => {
                let mut file = file.try_clone()?;
                let dir = path.parent().unwrap_or(path).to_owned();
                // Synced as it grows: a large file left to the page cache would hold up the log while it is written.
                blocking(move || {
                    check_spares(&dir, chunk.len())?;
                    file.write_all(&chunk).and_then(|()| file.sync_data())
                })
                .await?;
            }
        }
        Ok(())
    }

    /// Nothing is installed before the whole of it has been checked.
    pub async fn end(mut self, raft: &Raft) -> io::Result<Vote> {
        let body = match &mut self.sink {
            Sink::File(file, path) => {
                let (file, path) = (file.try_clone()?, path.clone());
                blocking(move || {
                    file.sync_all()?;
                    open_snapshot(&path)?.1.verify_rest()?;
                    Ok(SnapshotBody::File(path))
                })
                .await?
            }
            Sink::Memory(bytes) => {
                let file = Bytes::from(std::mem::take(bytes));
                snapshot_reader(file.clone().reader())?.1.verify_rest()?;
                SnapshotBody::Memory(file)
            }
        };
        let snapshot = Snapshot { meta: self.begin.meta.clone(), snapshot: Box::new(body) };
        let installed = raft.install_full_snapshot(self.begin.vote, snapshot).await;
        installed.map(|answer| answer.vote).map_err(io::Error::other)
    }
}

impl Drop for Receiving {
    /// A snapshot that was installed is not at this path any more.
    fn drop(&mut self) {
        if let Sink::File(_, path) = &self.sink {
            drop(std::fs::remove_file(path));
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
