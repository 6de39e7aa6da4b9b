//! Whether this node is in contact with a leader that a majority has confirmed, as health and connections need it.

use crate::engine::Engine;
use std::time::Duration;
use tokio::sync::watch;

/// How often the engine is asked.
const INTERVAL: Duration = Duration::from_millis(250);
/// So long without contact, and this node closes the connections that carry sessions: before the leader may end them.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// What is known about the contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contact {
    /// Requests are served.
    pub ready: bool,
    /// There was none for five seconds, although this node is not draining.
    pub lost: bool,
}

impl Contact {
    /// Follows the engine until nobody listens any more.
    pub fn follow(engine: Engine) -> watch::Receiver<Contact> {
        let (sender, receiver) = watch::channel(Contact { ready: engine.is_ready(), lost: false });
        tokio::spawn(async move {
            let mut without = Duration::ZERO;
            while !sender.is_closed() {
                tokio::time::sleep(INTERVAL).await;
                let ready = engine.is_ready();
                // A disk that keeps this node from being ready ends no session: the leader goes on hearing of them.
                without =
                    if engine.is_in_contact() || engine.is_leaving() { Duration::ZERO } else { without + INTERVAL };
                let contact = Contact { ready, lost: without >= LOST_AFTER };
                sender.send_if_modified(|known| std::mem::replace(known, contact) != contact);
            }
        });
        receiver
    }
}
