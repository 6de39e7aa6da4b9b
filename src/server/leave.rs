//! The way from the signal to the end, so that nobody is refused who could have asked elsewhere.

use std::time::Duration;

use super::drain::Drain;
use super::supervisor;
use crate::engine::Engine;

/// For clients that ask often to hear that this node leaves.
const MOVE_ON_WITHIN: Duration = Duration::from_millis(250);
/// For connections that are half open to be whole, and for their first request to arrive: a round trip or two.
const SETTLED_WITHIN: Duration = Duration::from_millis(100);

/// Waits for the signal, then goes the whole way. For `delay` load balancers have time to see that this node is not
/// ready. Then another node leads, so that nobody waits for an election. Where there are others, clients that ask
/// meanwhile and a little longer are told to connect elsewhere, instead of finding their connection closed. Then those
/// who wait here are answered, and nobody may begin to.
pub async fn follow(drain: Drain, engine: Engine, delay: Duration) {
    drain.left().await;
    engine.announce_shutdown();
    supervisor::stopping();
    tokio::time::sleep(delay).await;
    let others = engine.transfer_leadership().await;
    if others {
        tokio::time::sleep(MOVE_ON_WITHIN).await;
    }
    if others || !delay.is_zero() {
        drain.turn_away();
        tokio::time::sleep(SETTLED_WITHIN).await;
    }
    engine.drain();
    drain.begin();
}
