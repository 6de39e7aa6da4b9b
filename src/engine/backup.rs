//! Online backup: the table of one moment as a stream of bytes, while the service goes on.

use super::backup_file::BackupWriter;
use super::error::{EngineError, Fault};
use super::face::Engine;
use crate::domain::FrozenTable;
use bytes::Bytes;
use std::io::{self, Write};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Chunks that wait for a reader: what a backup costs in memory beside the frozen table.
const CHUNKS_AHEAD: usize = 4;

/// A reader that takes nothing for this long has gone: the next backup must not wait for it.
const READER_PATIENCE: Duration = Duration::from_secs(60);

/// A backup under way. What was read is a backup only with its end, which an error replaces.
pub struct Backup(mpsc::Receiver<io::Result<Bytes>>);

impl Backup {
    /// The next bytes; `None` after the end.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        self.0.recv().await
    }
}

impl Engine {
    /// Everything that was answered before this call, and nothing half done. One at a time.
    pub async fn backup(&self) -> Result<Backup, Fault> {
        let turn = self.0.backups.clone().acquire_owned().await.map_err(|_| EngineError::ShuttingDown)?;
        self.read_barrier().await?;
        let frozen = self.0.core.host.table().freeze();
        let (send, receive) = mpsc::channel(CHUNKS_AHEAD);
        tokio::task::spawn_blocking(move || write(&frozen, turn, send));
        Ok(Backup(receive))
    }
}

fn write(frozen: &FrozenTable, _turn: OwnedSemaphorePermit, send: mpsc::Sender<io::Result<Bytes>>) {
    let write = || {
        let mut out = BackupWriter::new(ToReader(send.clone()))?;
        frozen.write_to(&mut out)?;
        out.finish()
    };
    if let Err(error) = write() {
        tracing::warn!(%error, "a backup was given up: {error}");
        // Without this the reader would see an early end, which the format shows too.
        let _ = send.try_send(Err(error));
    }
}

struct ToReader(mpsc::Sender<io::Result<Bytes>>);

impl Write for ToReader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sending = self.0.send_timeout(Ok(Bytes::copy_from_slice(bytes)), READER_PATIENCE);
        match Handle::current().block_on(sending) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "its reader has gone, or takes nothing any more")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
