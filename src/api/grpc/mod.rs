//! The standard gRPC services: health and reflection. They need no credential, so the length of their messages, the number
//! of their streams and the time that each stream lasts have bounds of their own.

pub mod health;
#[allow(clippy::all, missing_docs)]
pub mod proto;
pub mod reflection;

use crate::access::{AddressPool, Place};
use crate::http::AppState;
use crate::http::grpc::frame;
use crate::http::grpc::unary::{failed, refused};
use axum::body::Body;
use axum::http::request::Parts;
use axum::response::Response;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// The longest message that is read without a credential.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// How often a stream beyond its age is checked again.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The message of a request that needs no credential, or the answer to one that is not read.
async fn public_message<Asked: Message + Default>(app: &AppState, head: &Parts, body: Body) -> Result<Asked, Response> {
    let bytes = app.message_up_to(head, body, MESSAGE_BYTES_MAX as u64).await.map_err(refused)?;
    frame::decode(&bytes).map_err(|status| failed(&status))
}

/// Completes when a stream that begins now has lasted as long as it may, and others need its place: a client that checks
/// the health of its connection takes the end for a failure.
fn stream_age(app: &AppState, place: Option<&Place>) -> impl Future<Output = ()> + Send + use<> {
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
fn stream_aged() -> Status {
    Status::unavailable(
        "this stream has lasted as long as it may while many are open: ask again (server.public_stream_age_max)",
    )
}
