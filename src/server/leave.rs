//! The shutdown of a node, in the order in which clients notice least of it.

use std::time::Duration;

use super::drain::Drain;
use super::supervisor;
use crate::engine::Engine;

/// Time for clients that ask often to learn that this node is leaving.
const RECONNECT_DELAY: Duration = Duration::from_millis(250);
/// Time for half-open connections to complete, and for their first request to arrive: a round trip or two.
const ACCEPT_DELAY: Duration = Duration::from_millis(100);

/// Waits for the signal, then shuts down:
///
/// 1. Readiness fails, and every answer asks its client to connect to another node.
/// 2. `delay` passes, in which load balancers notice the failed readiness.
/// 3. Leadership is transferred, so that no client waits for an election.
/// 4. If there are other nodes, clients have [`RECONNECT_DELAY`] longer to connect to them.
/// 5. The listeners close; connections that were just accepted have [`ACCEPT_DELAY`] for their first request.
/// 6. The engine answers all waits and accepts no new ones.
/// 7. Idle connections are closed, the others when their requests are finished.
pub async fn follow(drain: Drain, engine: Engine, delay: Duration) {
    drain.left().await;
    engine.announce_shutdown();
    supervisor::stopping();
    tokio::time::sleep(delay).await;
    let others = engine.transfer_leadership().await;
    if others {
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
    if others || !delay.is_zero() {
        drain.turn_away();
        tokio::time::sleep(ACCEPT_DELAY).await;
    }
    engine.drain();
    drain.begin();
}
