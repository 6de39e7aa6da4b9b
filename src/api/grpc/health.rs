//! `grpc.health.v1.Health`: the standard check. SERVING means that this node would serve a request now.
//!
//! Asked without credentials, as probes are: it says nothing about locks.

use super::reflection;
use crate::access::Place;
use crate::http::grpc::proto::health::health_check_response::ServingStatus;
use crate::http::grpc::proto::health::{HealthCheckRequest, HealthCheckResponse};
use crate::http::grpc::unary::{failed, not_grpc, public_message, respond};
use crate::http::grpc::{Contact, frame, public_stream};
use crate::http::service::Shared;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use http_body::Frame;
use tokio::sync::watch;
use tonic::Status;

/// Whether a service is served now; the empty name is the whole server.
pub async fn check(State(service): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if let Some(refusal) = not_grpc(&head) {
        return refusal;
    }
    let asked = match public_message::<HealthCheckRequest>(&service, &head, body).await {
        Ok(asked) => asked,
        Err(status) => return failed(&status),
    };
    if !is_checked(&asked.service) {
        return failed(&Status::not_found("unknown service"));
    }
    let answer = frame::encode(&answer(serving(service.engine.is_ready())));
    respond(crate::http::delivery::framed(answer, frame::ok_trailers(), None))
}

/// The same now and at every change.
pub async fn watch(State(service): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if let Some(refusal) = not_grpc(&head) {
        return refusal;
    }
    let place = match public_stream::place(&service, &head.extensions) {
        Ok(place) => place,
        Err(failure) => return failed(&failure.into()),
    };
    match public_message::<HealthCheckRequest>(&service, &head, body).await {
        Ok(asked) => respond(frame::stream(until_the_end(asked.service, &service, place))),
        Err(status) => failed(&status),
    }
}

/// Ends with its call, with its age where places are few, or with this process, which must not wait for it.
fn until_the_end(asked: String, service: &Shared, place: Option<Place>) -> impl Stream<Item = Frame<Bytes>> + use<> {
    let (engine, age) = (service.engine.clone(), public_stream::age(service, place.as_ref()));
    let ending = engine.clone();
    let ended = async move {
        tokio::select! {
            () = ending.drain_begun() => {}
            () = age => {}
        }
    };
    let known = is_checked(&asked);
    let told = |status| Frame::data(frame::encode(&answer(status)));
    let end = |status: Status| Frame::trailers(frame::trailers(&status));
    let farewell = async move {
        let _until_now = place;
        if !engine.is_draining() {
            return vec![end(public_stream::aged())];
        }
        let last = known.then(|| told(ServingStatus::NotServing));
        last.into_iter().chain([end(Status::unavailable("the server is shutting down"))]).collect()
    };
    let farewell = stream::once(farewell).flat_map(stream::iter);
    changes(known, service.contact.clone()).map(told).take_until(ended).chain(farewell)
}

/// A service that is not here may be here after the next release.
fn changes(known: bool, contact: watch::Receiver<Contact>) -> impl Stream<Item = ServingStatus> {
    stream::unfold((contact, None), move |(mut contact, told)| async move {
        loop {
            let ready = contact.borrow_and_update().ready;
            let status = if known { serving(ready) } else { ServingStatus::ServiceUnknown };
            if told != Some(status) {
                return Some((status, (contact, Some(status))));
            }
            if contact.changed().await.is_err() {
                return None;
            }
        }
    })
}

fn is_checked(service: &str) -> bool {
    service.is_empty() || reflection::is_known(service)
}

fn serving(ready: bool) -> ServingStatus {
    if ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
