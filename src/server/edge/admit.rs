//! Admits a request before any part of it is kept or its body is read; a refused one reaches no route.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::{Request, Response, Version};
use pin_project_lite::pin_project;
use tower::Service;

use super::super::fields::Fields;
use super::super::link::Link;
use super::super::parse_errors::{FIELDS_MAX, head_too_large};
use super::super::probes::{LIVE, READY};
use super::connection::EdgeContext;
use super::unread_body::drained_on_drop;
use crate::access::{Address, AddressPool, Unidentified};
use crate::api::grpc::health;
use crate::http::connection::ClientAddr;
use crate::http::problem::problem;
use crate::http::respond::until_sent;
use crate::http::{ClientInfo, Code, Failure, address_limits, grpc, standing};

const PROBES: [&str; 3] = [LIVE, READY, health::CHECK];
/// What a field counts besides its text (RFC 9113, 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// Passes admitted requests on, each with its [`ClientInfo`].
#[derive(Clone)]
pub struct Admit<S> {
    inner: S,
    link: Arc<Link>,
    context: Arc<EdgeContext>,
    /// The peer is a trusted proxy, so its headers are read.
    proxied: bool,
}

impl<S> Admit<S> {
    pub fn new(inner: S, link: Arc<Link>, context: Arc<EdgeContext>) -> Self {
        let proxied = context.trusted.trust(link.peer.ip);
        Self { inner, link, context, proxied }
    }

    fn client(&self, request: &Request<Body>) -> ClientAddr {
        match self.proxied {
            true => self.context.trusted.client(self.link.peer, request.headers()),
            false => self.link.peer,
        }
    }

    /// A place for the request until its caller is known, or why it is refused.
    fn admit(
        &self,
        request: &Request<Body>,
        fields: &Fields<'_>,
        client: ClientAddr,
        has_body: bool,
    ) -> Result<Arc<Unidentified>, Failure> {
        let text_bytes = fields.bytes + target_bytes(request);
        check_head(request, text_bytes, self.context.header_bytes_max)?;
        let is_probe = PROBES.contains(&request.uri().path());
        if let Some(pool) = self.link.probes_only
            && !is_probe
        {
            self.link.metrics().connections_refused.inc();
            return Err(self.refusal(&self.link.address, pool));
        }
        self.context.browsers.check(request, fields, self.proxied, &self.link.checked_host)?;
        let address = self.link.address_of(client.ip);
        // A probe uses the place of its connection, and is answered at once.
        if is_probe && !has_body {
            return Ok(Arc::new(Unidentified::free(&address, has_body)));
        }
        match Unidentified::begin(&address, request.headers().len(), text_bytes, has_body) {
            Some(unidentified) => Ok(Arc::new(unidentified)),
            None => Err(self.refusal(&address, AddressPool::UnidentifiedBytes)),
        }
    }

    fn refusal(&self, address: &Address, pool: AddressPool) -> Failure {
        address_limits::refuse(address, pool, (self.context.clock)())
    }
}

/// Checks a head under HTTP/2, where the library sends no error body and counts no fields. Under HTTP/1 it does count
/// them, and `parse_errors.rs` adds the error body.
fn check_head(request: &Request<Body>, text_bytes: usize, header_bytes_max: usize) -> Result<(), Failure> {
    if request.version() != Version::HTTP_2 {
        return Ok(());
    }
    let fields = request.headers().len();
    if fields > FIELDS_MAX {
        let detail = format!("the request has {fields} header fields, and at most {FIELDS_MAX} are allowed");
        return Err(Failure::new(Code::HeadTooLarge, detail).with_limit(FIELDS_MAX as u64));
    }
    let is_too_large = text_bytes + fields * FIELD_OVERHEAD > header_bytes_max;
    if is_too_large { Err(head_too_large(header_bytes_max)) } else { Ok(()) }
}

fn target_bytes(request: &Request<Body>) -> usize {
    request.uri().path_and_query().map_or(0, |target| target.as_str().len())
}

/// A refusal, as a gRPC status for requests that speak gRPC.
fn refused(is_grpc: bool, failure: Failure) -> Response<Body> {
    if is_grpc { grpc::refused(failure) } else { problem(&failure) }
}

/// The answer to a request whose caller is let in no more while it waits, such as for a lock.
fn given_up(is_grpc: bool) -> Response<Body> {
    let detail = "this credential was taken away or has expired while the request waited: it was given up";
    refused(is_grpc, Failure::new(Code::CredentialWrong, detail))
}

impl<S> Service<Request<Body>> for Admit<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Admitted<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let client = self.client(&request);
        let has_body = !http_body::Body::is_end_stream(request.body());
        let fields = Fields::of(request.headers());
        let unidentified = match self.admit(&request, &fields, client, has_body) {
            Ok(unidentified) => unidentified,
            Err(failure) => {
                return Admitted::Refused { refusal: Some(refused(grpc::is_grpc(request.headers()), failure)) };
            }
        };
        let info = ClientInfo {
            client,
            connection: Arc::clone(&self.link.connection),
            via_proxy: self.proxied || fields.proxy,
            unidentified: Arc::clone(&unidentified),
        };
        request.extensions_mut().insert(info);
        if has_body && request.version() == Version::HTTP_2 {
            request = request.map(drained_on_drop);
        }
        let is_grpc = grpc::is_grpc(request.headers());
        Admitted::Routed { answer: self.inner.call(request), unidentified: Some(unidentified), is_grpc, ended: None }
    }
}

pin_project! {
    /// An answer in the making.
    #[project = AdmittedState]
    pub enum Admitted<F> {
        Routed {
            #[pin]
            answer: F,
            // What the request occupies while its caller is not known.
            unidentified: Option<Arc<Unidentified>>,
            is_grpc: bool,
            // Comes with the end of the caller's credential.
            ended: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
        },
        Refused {
            refusal: Option<Response<Body>>,
        },
    }
}

impl<F: Future<Output = Result<Response<Body>, Infallible>>> Future for Admitted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.as_mut().project() {
            AdmittedState::Routed { answer, unidentified, is_grpc, ended } => {
                if let Poll::Ready(Ok(response)) = answer.poll(context) {
                    return Poll::Ready(Ok(until_sent(response, unidentified.take())));
                }
                if ended.is_none() {
                    let caller = unidentified.as_ref().and_then(|request| request.caller_that_may_end());
                    *ended = caller.map(|caller| Box::pin(standing::ended(caller.clone())) as Pin<Box<_>>);
                }
                let Some(ended) = ended else { return Poll::Pending };
                ready!(ended.as_mut().poll(context));
                let answer = given_up(*is_grpc);
                // Whatever it was about to take is given back.
                self.set(Admitted::Refused { refusal: None });
                Poll::Ready(Ok(answer))
            }
            AdmittedState::Refused { refusal } => {
                refusal.take().map_or(Poll::Pending, |refusal| Poll::Ready(Ok(refusal)))
            }
        }
    }
}
