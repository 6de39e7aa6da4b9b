//! Whether this node serves requests, and whether it has lost its leader: followed for health checks, and for the sessions
//! that live with a connection.

use crate::engine::Engine;
use std::time::Duration;
use tokio::sync::watch;

/// How often the engine is asked.
const INTERVAL: Duration = Duration::from_millis(250);
/// After so long without a leader this node closes the connections that carry sessions: before the leader may end them.
const LOST_AFTER: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Readiness {
    /// Requests are served.
    pub ready: bool,
    /// No leader that a majority has confirmed was heard of for five seconds, although this node is not draining.
    pub leader_lost: bool,
}

impl Readiness {
    /// Follows the engine until all receivers are dropped. Needs a runtime.
    pub fn follow(engine: Engine) -> watch::Receiver<Readiness> {
        let (sender, receiver) = watch::channel(Readiness { ready: engine.is_ready(), leader_lost: false });
        tokio::spawn(async move {
            let mut without = Duration::ZERO;
            while !sender.is_closed() {
                tokio::time::sleep(INTERVAL).await;
                let ready = engine.is_ready();
                // A disk that keeps this node from being ready ends no session: the leader still gets their touches.
                without = if engine.is_in_contact() || engine.is_shutdown_announced() {
                    Duration::ZERO
                } else {
                    without + INTERVAL
                };
                let readiness = Readiness { ready, leader_lost: without >= LOST_AFTER };
                sender.send_if_modified(|known| std::mem::replace(known, readiness) != readiness);
            }
        });
        receiver
    }
}
