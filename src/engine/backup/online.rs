//! Online backups: the table of one moment as a stream of bytes, while the service goes on.

use super::file::backup_writer;
use crate::domain::FrozenTable;
use crate::engine::error::{EngineError, Fault};
use crate::engine::reads::{Consistency, TableReader};
use bytes::Bytes;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Chunks that wait for the client: the memory that a backup takes beside the frozen table.
const CHUNKS_AHEAD: usize = 4;

/// A client that takes nothing for this long has gone: the next backup must not wait for it.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

/// A backup in progress. It is complete only with its end; an error takes the place of that end.
pub struct Backup(mpsc::Receiver<io::Result<Bytes>>);

impl Backup {
    /// The next bytes; `None` after the end.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        self.0.recv().await
    }
}

/// Takes backups, one at a time: each keeps a whole table from being freed.
pub struct Backups {
    reader: Arc<TableReader>,
    turns: Arc<Semaphore>,
}

impl Backups {
    pub fn new(reader: Arc<TableReader>) -> Backups {
        Backups { reader, turns: Arc::new(Semaphore::new(1)) }
    }

    /// Begins a backup of everything that was answered before this call, and of nothing half done.
    pub async fn begin(&self, consistency: Consistency) -> Result<Backup, Fault> {
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| EngineError::ShuttingDown)?;
        self.reader.read_barrier(consistency).await?;
        let frozen = self.reader.host.freeze();
        let (send, receive) = mpsc::channel(CHUNKS_AHEAD);
        self.reader.blocking.spawn_blocking(move || write(&frozen, turn, send));
        Ok(Backup(receive))
    }
}

fn write(frozen: &FrozenTable, _turn: OwnedSemaphorePermit, send: mpsc::Sender<io::Result<Bytes>>) {
    let write = || {
        let mut out = backup_writer(ClientWriter(send.clone()))?;
        frozen.write_to(&mut out)?;
        out.finish()
    };
    if let Err(error) = write() {
        tracing::warn!(%error, "a backup was given up: {error}");
        // Otherwise the client would see an early end, which the format shows too.
        let _ = send.try_send(Err(error));
    }
}

struct ClientWriter(mpsc::Sender<io::Result<Bytes>>);

impl Write for ClientWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sending = self.0.send_timeout(Ok(Bytes::copy_from_slice(bytes)), CLIENT_TIMEOUT);
        match Handle::current().block_on(sending) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "its reader has gone, or takes nothing any more")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
