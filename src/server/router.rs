//! Every route of the service on one page.
//!
//! One layer, for the query parameters of what is latchd's own: what surrounds every request (who asks, metrics, the net for panics) is in `edge.rs`, and each dialect
//! checks credentials itself, because each has its own answer for those who have none.

use super::pages;
use crate::api::{self, cluster};
use crate::dialects::doubledutch::rest as get_lock;
use crate::dialects::ldlm::rest as sessions_v1;
use crate::dialects::lockd::rest as lock_by_name;
use crate::dialects::raftlock::rest as lock_unlock;
use crate::dialects::{kufuli, ldlm, lockd, raftlock};
use crate::http::code::Code;
use crate::http::failure::Failure;
use crate::http::problem::problem;
use crate::http::{Shared, grpc, parameters};
use crate::status::assets;
use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{MethodRouter, any};

/// The routes of all dialects and pages. `any`, because what a wrong method gets is also each dialect's own affair.
pub fn router(service: Shared) -> Router {
    Router::new()
        // Sessions v1 (LDLM)
        .route("/session", any(sessions_v1::session))
        .route("/session/", any(sessions_v1::not_found))
        .route("/v1/lock", any(sessions_v1::lock))
        .route("/v1/lock/", any(sessions_v1::not_found))
        .route("/v1/unlock", any(sessions_v1::unlock))
        .route("/v1/unlock/", any(sessions_v1::not_found))
        .route("/v1/renew", any(sessions_v1::renew))
        .route("/v1/renew/", any(sessions_v1::not_found))
        .route("/v1/refreshlock", any(sessions_v1::renew))
        .route("/v1/refreshlock/", any(sessions_v1::not_found))
        // GET_LOCK style (DoubleDutch)
        .route("/getlock", any(get_lock::get_lock))
        .route("/getlock/", any(get_lock::not_found))
        .route("/releaselock", any(get_lock::release_lock))
        .route("/releaselock/", any(get_lock::not_found))
        .route("/status", any(pages::status))
        .route("/status/", any(get_lock::not_found))
        // Lock/unlock JSON (RaftLock)
        .route("/lock", any(lock_unlock::lock))
        .route("/unlock", any(lock_unlock::unlock))
        // Lock by name (lockd)
        .route("/lock/", any(lock_by_name::lock_by_name))
        .route("/lock/{*name}", any(lock_by_name::lock_by_name))
        .merge(own(&service))
        // Pages and documents
        .route("/", get(pages::page))
        .route("/docs", get(pages::docs))
        .route("/docs/errors", get(pages::errors))
        .route("/openapi.json", get(pages::openapi_json))
        .route(assets::STYLE.path, get(async || pages::file(assets::STYLE)))
        .route(assets::SCRIPT.path, get(async || pages::file(assets::SCRIPT)))
        .route(assets::ICON.path, get(async || pages::file(assets::ICON)))
        .merge(grpc_routes(&service))
        .fallback(anything_else)
        .with_state(service)
}

/// The API that is latchd's own; a query parameter that its description does not name is refused.
fn own(service: &Shared) -> Router<Shared> {
    Router::new()
        // Reading and repairing
        .route("/v1/locks", get(api::list_locks))
        .route("/v1/locks/{name}", get(api::show_lock))
        .route("/v1/locks/{name}/holds/{key}", delete(api::force_release))
        .route("/v1/holds", delete(api::force_release_asked))
        .route("/v1/sessions", get(api::list_sessions))
        .route("/v1/events", get(api::events))
        // Operating the cluster
        .route("/v1/cluster", get(cluster::show_cluster))
        .route("/v1/cluster/members", post(cluster::add_member))
        .route("/v1/cluster/members/{node}", delete(cluster::remove_member))
        .route("/v1/cluster/members/{node}/promote", post(cluster::promote_member))
        .route("/v1/backup", get(cluster::backup))
        .route_layer(from_fn_with_state(Shared::clone(service), parameters::only_known))
}

/// The gRPC services, on the same listeners.
fn grpc_routes(service: &Shared) -> Router<Shared> {
    Router::new()
        // LDLM
        .route("/ldlm.LDLM/Lock", any(ldlm::grpc::lock))
        .route("/ldlm.LDLM/TryLock", any(ldlm::grpc::try_lock))
        .route("/ldlm.LDLM/Unlock", any(ldlm::grpc::unlock))
        .route("/ldlm.LDLM/Renew", any(ldlm::grpc::renew))
        .route("/ldlm.LDLM/RefreshLock", any(ldlm::grpc::renew))
        // kufuli
        .route("/api.Api/RequestLock", any(kufuli::grpc::request_lock))
        .route("/api.Api/ReleaseLock", any(kufuli::grpc::release_lock))
        // lockd
        .route("/lockapi.Locking/IsLocked", any(lockd::grpc::is_locked))
        .route("/lockapi.Locking/Lock", any(lockd::grpc::lock))
        .route("/lockapi.Locking/Unlock", any(lockd::grpc::unlock))
        // RaftLock
        .route("/raftlock.RaftLock/Acquire", any(raftlock::grpc::acquire))
        .route("/raftlock.RaftLock/Release", any(raftlock::grpc::release))
        .route("/raftlock.RaftLock/Renew", any(raftlock::grpc::renew))
        .route("/raftlock.RaftLock/GetLockInfo", any(raftlock::grpc::get_lock_info))
        .route("/raftlock.RaftLock/GetLocks", any(raftlock::grpc::get_locks))
        .route("/raftlock.RaftLock/EnqueueWaiter", any(raftlock::grpc::enqueue_waiter))
        .route("/raftlock.RaftLock/CancelWait", any(raftlock::grpc::cancel_wait))
        .route("/raftlock.RaftLock/GetBackoffAdvice", any(raftlock::grpc::get_backoff_advice))
        .route("/raftlock.RaftLock/GetStatus", any(raftlock::grpc::get_status))
        .route("/raftlock.RaftLock/Health", any(raftlock::grpc::health))
        // Health and reflection
        .route("/grpc.health.v1.Health/Check", any(api::grpc::health::check))
        .route("/grpc.health.v1.Health/Watch", any(api::grpc::health::watch))
        .merge(api::grpc::reflection::routes(service))
}

/// A path of ours that is only read.
fn get<H: Handler<T, Shared>, T: 'static>(handler: H) -> MethodRouter<Shared> {
    axum::routing::get(handler).fallback(pages::method_not_allowed)
}

/// A path of ours that is only posted to.
fn post<H: Handler<T, Shared>, T: 'static>(handler: H) -> MethodRouter<Shared> {
    axum::routing::post(handler).fallback(pages::method_not_allowed)
}

/// A path of ours that is only deleted.
fn delete<H: Handler<T, Shared>, T: 'static>(handler: H) -> MethodRouter<Shared> {
    axum::routing::delete(handler).fallback(pages::method_not_allowed)
}

async fn anything_else(service: State<Shared>, request: Request) -> Response {
    if lock_by_name::leads_here(request.uri().path()) {
        return lock_by_name::lock_by_name(service, request).await;
    }
    let (head, _) = request.into_parts();
    if grpc::is_grpc(&head.headers) {
        return grpc::unknown(&head);
    }
    let path = head.uri.path();
    let mut detail = format!("there is nothing at {path}");
    // A name was meant, and a slash in it reads as the end of it.
    if path.strip_prefix("/v1/locks/").is_some_and(|rest| rest.contains('/')) {
        detail.push_str("; a slash in a lock's name is written %2F in a path, or ask with GET /v1/locks?name=");
    }
    problem(&Failure::new(Code::NotFound, detail))
}
