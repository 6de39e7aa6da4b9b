//! A granted hold stays with its answer until the kernel has it: lost before that, the hold is given back.

use super::delivery::{ConnState, DeliveryGuard, Guard, guarded};
use super::peer::Peer;
use super::respond;
use crate::engine::Delivery;
use axum::body::Body;
use axum::http::{StatusCode, request::Parts};
use axum::response::Response;
use std::sync::Arc;

/// The JSON answer of a grant.
pub fn granted(head: &Parts, delivery: Delivery, status: StatusCode, body: Vec<u8>) -> Response {
    respond::with_body(status, Some(respond::JSON), carrying(head, delivery, body))
}

/// A body that takes the hold along.
pub fn carrying(head: &Parts, delivery: Delivery, body: Vec<u8>) -> Body {
    match guard(head, delivery) {
        Some((connection, guard)) => guarded(body.into(), connection, guard),
        None => body.into(),
    }
}

/// The guard of a hold whose answer has a body of its own; `None` in process, where the answer has arrived.
pub fn guard(head: &Parts, delivery: Delivery) -> Option<(Arc<ConnState>, Guard)> {
    match head.extensions.get::<Peer>() {
        Some(peer) => Some((Arc::clone(&peer.connection), Box::new(Handover(delivery)))),
        None => {
            delivery.delivered();
            None
        }
    }
}

struct Handover(Delivery);

impl DeliveryGuard for Handover {
    fn delivered(self: Box<Self>) {
        self.0.delivered();
    }

    /// Dropping gives the hold back.
    fn lost(self: Box<Self>) {}
}
