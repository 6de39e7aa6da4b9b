//! Compresses pages, documents and listings for clients that accept gzip; answers of the dialects are never compressed.
//!
//! The length of a compressed answer may reveal its content (BREACH). So answers with secrets, and answers to requests
//! from pages of other sites, are not compressed.

use std::sync::{Arc, LazyLock};

use axum::extract::Request;
use axum::http::{HeaderName, Response, header};
use axum::middleware::{Next, from_fn};
use axum::routing::MethodRouter;
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::compression::{CompressionLayer, CompressionLevel};

use super::respond::{HoldsSecrets, until_sent};

/// A compressor takes about 300 KiB until its answer is sent, which is up to the client.
const AT_ONCE: usize = 32;
/// Below it there is nothing to win.
const BYTES_MIN: u16 = 512;

static PERMITS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));

pub fn compressed<S: Clone + Send + Sync + 'static>(route: MethodRouter<S>) -> MethodRouter<S> {
    let gzip = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(Compressible);
    route.route_layer(ServiceBuilder::new().layer(from_fn(bounded)).layer(gzip))
}

/// Lets a request ask for compression only while there is room for it, and for no page of another site.
async fn bounded(mut request: Request, next: Next) -> Response<axum::body::Body> {
    let asks = request.headers().contains_key(header::ACCEPT_ENCODING) && !is_for_another_site(&request);
    let permit = asks.then(|| Arc::clone(&PERMITS).try_acquire_owned().ok()).flatten();
    if permit.is_none() {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    let response = next.run(request).await;
    if response.headers().contains_key(header::CONTENT_ENCODING) { until_sent(response, permit) } else { response }
}

fn is_for_another_site(request: &Request) -> bool {
    let site = request.headers().get(HeaderName::from_static("sec-fetch-site"));
    site.is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

#[derive(Clone, Copy)]
struct Compressible;

impl Predicate for Compressible {
    fn should_compress<B: axum::body::HttpBody>(&self, response: &Response<B>) -> bool {
        SizeAbove::new(BYTES_MIN).should_compress(response) && response.extensions().get::<HoldsSecrets>().is_none()
    }
}
