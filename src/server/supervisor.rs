//! What this process reports to the service manager that started it, if there is one (systemd's `Type=notify`).

use sd_notify::NotifyState::{self, Ready, Status, Stopping};

/// Everything is bound and read back. With or without a quorum, because nodes wait for each other.
pub fn ready(urls: &str) {
    let status = format!("listening on {urls}");
    tell(move || sd_notify::notify(&[Ready, Status(&status)]));
}

/// The end is announced; for a while everything is served still.
pub fn stopping() {
    const STATES: [NotifyState<'static>; 2] = [Stopping, Status("finishing the requests in flight")];
    tell(|| sd_notify::notify(&STATES));
}

/// On a thread of its own: a manager that takes nothing must not stop us.
fn tell(send: impl FnOnce() -> std::io::Result<()> + Send + 'static) {
    let told = move || {
        if let Err(error) = send() {
            tracing::warn!(%error, "the service manager cannot be told");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("latchd-notify".to_owned()).spawn(told) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
