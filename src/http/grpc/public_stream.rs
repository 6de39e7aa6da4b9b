//! Streams that need no credential and have no end of their own: how many there are, and how long each lasts.

use crate::access::{AddressPool, Place};
use crate::http::address_limits::take_place;
use crate::http::app::AppState;
use crate::http::failure::Failure;
use axum::http::Extensions;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// The longest message that is read without a credential.
pub const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// How often a stream beyond its age is checked again.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A place for one stream, released when it is dropped; `None` for a call in process.
pub fn place(request: &Extensions) -> Result<Option<Place>, Failure> {
    take_place(request, AddressPool::PublicStreams)
}

/// Completes when a stream that begins now has lasted as long as it may, and others need its place: a client that checks
/// the health of its connection takes the end for a failure.
pub fn age(app: &AppState, place: Option<&Place>) -> impl Future<Output = ()> + Send + use<> {
    let age: Duration = app.settings.public_stream_age_max;
    let address = place.map(|place| Arc::clone(place.address()));
    async move {
        tokio::time::sleep(age).await;
        while address.as_ref().is_some_and(|address| !address.is_half_taken(AddressPool::PublicStreams)) {
            tokio::time::sleep(age.min(LOOK_EVERY)).await;
        }
    }
}

/// The status that ends such a stream.
pub fn aged() -> Status {
    Status::unavailable(
        "this stream has lasted as long as it may while many are open: ask again (server.public_stream_age_max)",
    )
}
