//! Who asks, and whether the request is looked at: a refused one reaches no route.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::{Request, Response, Version};
use pin_project_lite::pin_project;
use tower::Service;

use super::super::admission::{self, Admission};
use super::super::forwarded::names_a_proxy;
use super::super::link::Link;
use super::context::EdgeContext;
use super::drain_stream::DrainedOnDrop;
use crate::access::Unidentified;
use crate::http::client_info::{ClientAddr, ClientInfo};
use crate::http::until_sent::until_sent;

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
        let admission = Admission { link: &self.link, context: &self.context, proxied: self.proxied };
        let unidentified = match admission.admit(&request, client.ip, has_body) {
            Ok(unidentified) => unidentified,
            Err(failure) => {
                return Admitted::Refused { refusal: Some(admission::refused(request.headers(), failure)) };
            }
        };
        let info = ClientInfo {
            client,
            connection: Arc::clone(&self.link.connection),
            via_proxy: self.proxied || names_a_proxy(request.headers()),
            unidentified: Arc::clone(&unidentified),
        };
        request.extensions_mut().insert(info);
        if has_body && request.version() == Version::HTTP_2 {
            request = request.map(|body| Body::new(DrainedOnDrop::new(body)));
        }
        Admitted::Routed { answer: self.inner.call(request), unidentified: Some(unidentified) }
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
        },
        Refused {
            refusal: Option<Response<Body>>,
        },
    }
}

impl<F: Future<Output = Result<Response<Body>, Infallible>>> Future for Admitted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AdmittedState::Routed { answer, unidentified } => {
                let Ok(response) = ready!(answer.poll(context));
                Poll::Ready(Ok(until_sent(response, unidentified.take())))
            }
            AdmittedState::Refused { refusal } => {
                refusal.take().map_or(Poll::Pending, |refusal| Poll::Ready(Ok(refusal)))
            }
        }
    }
}
