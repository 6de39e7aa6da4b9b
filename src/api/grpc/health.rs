//! `grpc.health.v1.Health`: the standard check. SERVING means that this node would serve a request now.
//!
//! It needs no credential, like the probes, and reveals nothing about locks.

use super::proto::health_check_response::ServingStatus;
use super::proto::{self, HealthCheckRequest, HealthCheckResponse};
use super::{public_message, stream_age, stream_aged};
use crate::access::{AddressPool, Place};
use crate::config::Config;
use crate::http::address_limits::take_place;
use crate::http::app::Readiness;
use crate::http::delivery::with_trailers;
use crate::http::grpc::frame;
use crate::http::grpc::unary::{failed, not_grpc, refused, respond};
use crate::http::{AppState, Catalog, Declaration, GrpcService, Routes};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use http_body::Frame;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::sync::watch;
use tonic::Status;

pub static DECLARATION: Declaration = Declaration {
    label: "other",
    dialect: None,
    services: &[GrpcService { name: "grpc.health.v1.Health", descriptors: proto::DESCRIPTORS }],
    routes,
    documentation: None,
};

pub const CHECK: &str = "/grpc.health.v1.Health/Check";

fn routes(app: &AppState, _: &Config) -> Routes {
    Routes::new()
        .route(CHECK, any(check))
        .route("/grpc.health.v1.Health/Watch", any(watch))
        .with_state(AppState::clone(app))
}

/// Whether a service is served now; the empty name is the whole server.
async fn check(State(app): State<AppState>, request: Request) -> Result<Response, Response> {
    let (head, body) = request.into_parts();
    not_grpc(&head).map_or(Ok(()), Err)?;
    let asked: HealthCheckRequest = public_message(&app, &head, body).await?;
    if !is_checked(&app.catalog, &asked.service) {
        return Err(failed(&Status::not_found("unknown service")));
    }
    let answer = frame::encode(&answer(serving(app.engine.is_ready())));
    Ok(respond(with_trailers(answer, frame::ok_trailers(), None)))
}

/// The same now and at every change.
async fn watch(State(app): State<AppState>, request: Request) -> Result<Response, Response> {
    let (head, body) = request.into_parts();
    not_grpc(&head).map_or(Ok(()), Err)?;
    let place = take_place(&head.extensions, AddressPool::PublicStreams).map_err(refused)?;
    let asked: HealthCheckRequest = public_message(&app, &head, body).await?;
    Ok(respond(frame::stream(until_the_end(asked.service, &app, place))))
}

/// Ends with its call, at its maximum age if places are scarce, or with this process, which must not wait for it.
fn until_the_end(asked: String, app: &AppState, place: Option<Place>) -> impl Stream<Item = Frame<Bytes>> + use<> {
    let (engine, age) = (app.engine.clone(), stream_age(app, place.as_ref()));
    let ending = engine.clone();
    let ended = async move {
        tokio::select! {
            () = ending.closing() => {}
            () = age => {}
        }
    };
    let known = is_checked(&app.catalog, &asked);
    // The drain may have been told of as a change.
    let told = Arc::new(AtomicBool::new(false));
    let was_told = Arc::clone(&told);
    let frame_of = |status| Frame::data(frame::encode(&answer(status)));
    let end = |status: Status| Frame::trailers(frame::trailers(&status));
    let last_frames = async move {
        let _until_now = place;
        if !engine.is_closing() {
            return vec![end(stream_aged())];
        }
        let last = (known && !was_told.load(Relaxed)).then(|| frame_of(ServingStatus::NotServing));
        last.into_iter().chain([end(Status::unavailable("the server is shutting down"))]).collect()
    };
    let last_frames = stream::once(last_frames).flat_map(stream::iter);
    let changes = changes(known, app.readiness.clone())
        .inspect(move |status| told.store(*status == ServingStatus::NotServing, Relaxed));
    changes.map(frame_of).take_until(ended).chain(last_frames)
}

/// The status now and at every change. An unknown service keeps its stream, because the next release may have it.
fn changes(known: bool, readiness: watch::Receiver<Readiness>) -> impl Stream<Item = ServingStatus> {
    stream::unfold((readiness, None), move |(mut readiness, sent)| async move {
        loop {
            let ready = readiness.borrow_and_update().ready;
            let status = if known { serving(ready) } else { ServingStatus::ServiceUnknown };
            if sent != Some(status) {
                return Some((status, (readiness, Some(status))));
            }
            if readiness.changed().await.is_err() {
                return None;
            }
        }
    })
}

fn is_checked(catalog: &Catalog, service: &str) -> bool {
    service.is_empty() || catalog.has_service(service)
}

fn serving(ready: bool) -> ServingStatus {
    if ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
