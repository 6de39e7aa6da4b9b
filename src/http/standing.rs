//! Waits for the end of a credential: what it let in, such as a stream or a wait for a lock, ends with it.

use crate::access::Identity;
use std::time::Duration;

/// The wall clock may be set meanwhile, so it is looked at again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Until the credential of this caller has ended; for ever where it cannot.
pub async fn ended(identity: Identity) {
    let Some(ending) = identity.ending() else { return std::future::pending().await };
    let mut changes = ending.changes();
    while !ending.has_come() {
        let pause = ending.remaining().map_or(LOOK_AGAIN, |remaining| remaining.min(LOOK_AGAIN));
        tokio::select! {
            Ok(()) = changes.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
