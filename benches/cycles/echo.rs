//! The bare server that the ratios refer to: axum on axum-server, JSON in, JSON of a similar size out, no state.

use std::net::TcpListener;
use std::path::Path;

use axum::routing::post;
use axum::{Json, Router};
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Lock {
    name: String,
    lock_timeout_seconds: u32,
}

#[derive(Serialize)]
struct Locked {
    locked: bool,
    name: String,
    key: &'static str,
    fencing_token: u64,
    expires_in_seconds: u32,
}

#[derive(Deserialize)]
struct Unlock {
    name: String,
    key: String,
}

#[derive(Serialize)]
struct Unlocked {
    unlocked: bool,
    name: String,
}

/// Serves until the process is killed. The first line on stdout names the addresses, as latchd's does.
pub async fn run(certificate: &Path, key: &Path) {
    let config = RustlsConfig::from_pem_file(certificate, key).await.expect("the pair is readable");
    let router = Router::new().route("/v1/lock", post(lock)).route("/v1/unlock", post(unlock));
    let (tls, plain) = (listener(), listener());
    let (https, http) = (tls.local_addr().expect("bound"), plain.local_addr().expect("bound"));
    println!("echo listening on https://{https} http://{http}");
    let acceptor = RustlsAcceptor::new(config).acceptor(NoDelayAcceptor::new());
    let over_tls = axum_server::from_tcp(tls).expect("non-blocking").acceptor(acceptor);
    let in_plaintext = axum_server::from_tcp(plain).expect("non-blocking").acceptor(NoDelayAcceptor::new());
    let service = router.into_make_service();
    let (tls, plain) = tokio::join!(over_tls.serve(service.clone()), in_plaintext.serve(service));
    tls.and(plain).expect("the echo serves until it is killed");
}

fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket can be made non-blocking");
    listener
}

async fn lock(Json(request): Json<Lock>) -> Json<Locked> {
    Json(Locked {
        locked: true,
        name: request.name,
        key: "01234567-89ab-4cde-8f01-23456789abcd",
        fencing_token: 1_876_543_210_123_456,
        expires_in_seconds: request.lock_timeout_seconds,
    })
}

async fn unlock(Json(request): Json<Unlock>) -> Json<Unlocked> {
    Json(Unlocked { unlocked: !request.key.is_empty(), name: request.name })
}
