//! A blocking gRPC client over the real transport: one connection per client, any method by its path.

use super::certificate;
use super::client::Wire;
use super::process::Server;
use prost::Message;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::runtime::Runtime;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// No call of a test waits longer than this without saying so.
const PATIENCE: Duration = Duration::from_secs(60);

/// One client with one connection, opened at its first call and again after it was closed.
#[derive(Clone)]
pub struct GrpcClient {
    channel: Channel,
    wire: Wire,
    metadata: Vec<(&'static str, String)>,
}

/// Where the connections of all blocking clients live.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    })
}

/// Over TLS, with a certificate or without.
fn channel(address: SocketAddr, identity: Option<Identity>) -> Channel {
    let pem = std::fs::read(&certificate::pair().certificate).expect("the certificate is there");
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)).domain_name("localhost");
    let tls = identity.into_iter().fold(tls, ClientTlsConfig::identity);
    let endpoint = endpoint(format!("https://{address}")).tls_config(tls).expect("the certificate can be trusted");
    let _inside = runtime().enter();
    endpoint.connect_lazy()
}

impl GrpcClient {
    /// A client of the chosen listener.
    pub fn new(server: &Server, wire: Wire) -> Self {
        match wire {
            Wire::Plain => Self::at(server.http(), wire),
            Wire::Tls => Self::at(server.https(), wire),
        }
    }

    /// A client of this address.
    pub fn at(address: SocketAddr, wire: Wire) -> Self {
        let channel = match wire {
            Wire::Plain => {
                let _inside = runtime().enter();
                endpoint(format!("http://{address}")).connect_lazy()
            }
            Wire::Tls => channel(address, None),
        };
        Self { channel, wire, metadata: Vec::new() }
    }

    /// A client of the TLS listener that shows a certificate, both in PEM.
    pub fn with_certificate(server: &Server, certificate: &str, key: &str) -> Self {
        let identity = Identity::from_pem(certificate, key);
        Self { channel: channel(server.https(), Some(identity)), wire: Wire::Tls, metadata: Vec::new() }
    }

    pub fn plain(server: &Server) -> Self {
        Self::new(server, Wire::Plain)
    }

    pub fn tls(server: &Server) -> Self {
        Self::new(server, Wire::Tls)
    }

    /// Sends this metadata with every call.
    pub fn with_metadata(mut self, name: &'static str, value: &str) -> Self {
        self.metadata.push((name, value.to_owned()));
        self
    }

    /// Goes on with the same metadata against a restarted server.
    pub fn move_to(&mut self, server: &Server) {
        self.channel = Self::new(server, self.wire).channel;
    }

    /// Calls a method and waits for its answer.
    pub fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        runtime().block_on(self.begin(path, request))
    }

    /// The same for those who wait for several; dropping it cancels the call.
    pub async fn begin<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let call = grpc.unary(self.request(request), PathAndQuery::from_static(path), ProstCodec::default());
        match tokio::time::timeout(PATIENCE, call).await {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => panic!("{path} was not answered within {PATIENCE:?}"),
        }
    }

    /// The messages that a streaming method sends.
    pub async fn stream<Q, A>(&self, path: &'static str, request: Q) -> Result<tonic::Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(path);
        let answer = grpc.server_streaming(self.request(request), path, ProstCodec::default()).await?;
        Ok(answer.into_inner())
    }

    /// Sends these messages on one stream; what the method sends meanwhile.
    pub async fn talk<Q, A>(&self, path: &'static str, requests: Vec<Q>) -> Result<tonic::Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let (path, requests) = (PathAndQuery::from_static(path), futures_util::stream::iter(requests));
        let answer = grpc.streaming(self.request(requests), path, ProstCodec::default()).await?;
        Ok(answer.into_inner())
    }

    /// The same, and the stream of messages goes on until the answers are let go.
    pub async fn talk_on<Q, A>(&self, path: &'static str, requests: Vec<Q>) -> Result<tonic::Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        use futures_util::StreamExt;
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let requests = futures_util::stream::iter(requests).chain(futures_util::stream::pending());
        let path = PathAndQuery::from_static(path);
        Ok(grpc.streaming(self.request(requests), path, ProstCodec::default()).await?.into_inner())
    }

    fn request<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        for (name, value) in &self.metadata {
            let name: MetadataKey<Ascii> = name.parse().expect("a name");
            let value: MetadataValue<Ascii> = value.parse().expect("a value");
            request.metadata_mut().insert(name, value);
        }
        request
    }
}

/// The code and the words of a call that must fail.
pub fn refusal<A: std::fmt::Debug>(answer: Result<A, Status>) -> (Code, String) {
    let status = answer.expect_err("refused");
    (status.code(), status.message().to_owned())
}

fn endpoint(url: String) -> Endpoint {
    Endpoint::from_shared(url).expect("a URL").connect_timeout(PATIENCE)
}
