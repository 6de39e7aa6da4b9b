//! SIGHUP: what lies in files is read again, and the log file is opened anew.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::telemetry::logs;

/// Asks all listeners to read their files again. Clones share it.
#[derive(Clone, Debug)]
pub struct Reload(Arc<watch::Sender<()>>);

impl Default for Reload {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl Reload {
    /// Changes with each SIGHUP from now on.
    pub fn requests(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }

    /// Follows SIGHUP, which would end the process otherwise.
    pub fn follow_hangups(&self) -> std::io::Result<()> {
        let mut hangups = signal(SignalKind::hangup())?;
        let reload = self.clone();
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                logs::reopen();
                tracing::info!("SIGHUP: certificates are read again, a log file is opened anew");
                reload.0.send_replace(());
            }
        });
        Ok(())
    }
}
