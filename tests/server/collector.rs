//! A collector of OpenTelemetry traces, over HTTP and gRPC on one port, that keeps what it gets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response};
use axum::routing::post;
use axum_server::tls_rustls::RustlsConfig;
use http_body_util::{BodyExt as _, Full};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::runtime::Runtime;

/// The collector ends with it.
pub struct Collector {
    pub address: SocketAddr,
    got: Got,
    _runtime: Runtime,
}

#[derive(Clone, Default)]
struct Got(Arc<Mutex<Vec<(ExportTraceServiceRequest, HeaderMap)>>>);

const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

impl Collector {
    pub fn start() -> Collector {
        Self::start_with(None)
    }

    /// With TLS, by this configuration.
    pub fn start_with(tls: Option<rustls::ServerConfig>) -> Collector {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let got = Got::default();
        let router = Router::new().route("/v1/traces", post(http)).route(GRPC, post(grpc)).with_state(got.clone());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("set");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(async move {
            let served = router.into_make_service();
            match tls {
                None => axum_server::from_tcp(listener).expect("a listener").serve(served).await,
                Some(tls) => {
                    let tls = RustlsConfig::from_config(Arc::new(tls));
                    axum_server::from_tcp_rustls(listener, tls).expect("a listener").serve(served).await
                }
            }
        });
        Collector { address, got, _runtime: runtime }
    }

    /// All spans that came.
    pub fn spans(&self) -> Vec<Span> {
        let got = self.got.0.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = got.iter().flat_map(|(request, _)| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Those that this node has sent.
    pub fn spans_of(&self, instance: &str) -> Vec<Span> {
        let got = self.got.0.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = got.iter().flat_map(|(request, _)| &request.resource_spans);
        let sent = resources.filter(|resource| format!("{:?}", resource.resource).contains(&format!("{instance:?}")));
        sent.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Everything that came, as text.
    pub fn text(&self) -> String {
        let got = self.got.0.lock().unwrap_or_else(PoisonError::into_inner);
        got.iter().map(|(request, _)| format!("{request:?}")).collect()
    }

    /// A header of the last request.
    pub fn header(&self, name: &str) -> Option<String> {
        let got = self.got.0.lock().unwrap_or_else(PoisonError::into_inner);
        got.last().and_then(|(_, headers)| headers.get(name)?.to_str().ok().map(str::to_owned))
    }
}

impl Got {
    fn keep(&self, message: &[u8], headers: HeaderMap) {
        let request = ExportTraceServiceRequest::decode(message).expect("a message");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((request, headers));
    }
}

async fn http(State(got): State<Got>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    got.keep(&body, headers);
    Response::builder().header("content-type", "application/x-protobuf").body(Body::empty()).expect("an answer")
}

/// One uncompressed message in each direction.
async fn grpc(State(got): State<Got>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    got.keep(&body[5..], headers);
    let trailers = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from_static("0"))]);
    let answer = Full::new(Bytes::from_static(&[0; 5])).with_trailers(std::future::ready(Some(Ok(trailers))));
    Response::builder().header("content-type", "application/grpc").body(Body::new(answer)).expect("an answer")
}
