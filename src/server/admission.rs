//! Admits a request before any part of it is kept or its body is read.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};

use super::edge::EdgeContext;
use super::head;
use super::link::Link;
use crate::access::{AddressPool, Unidentified};
use crate::http::failure::Failure;
use crate::http::problem::problem;
use crate::http::{address_limits, grpc};

/// The paths of probes.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/grpc.health.v1.Health/Check"];

/// The admission of requests on one connection.
pub struct Admission<'a> {
    pub link: &'a Arc<Link>,
    pub context: &'a EdgeContext,
    pub proxied: bool,
}

impl Admission<'_> {
    /// A place for the request until its caller is known, or why it is refused.
    pub fn admit<B>(&self, request: &Request<B>, from: IpAddr, has_body: bool) -> Result<Arc<Unidentified>, Failure> {
        head::check(request, self.context.header_bytes_max)?;
        let is_probe = PROBES.contains(&request.uri().path());
        if let Some(pool) = self.link.probes_only
            && !is_probe
        {
            self.link.metrics().connections_refused.inc();
            return Err(self.refused(&self.link.address, pool));
        }
        self.context.browsers.check(request, self.proxied)?;
        let address = self.link.address_of(from);
        // A probe uses the place of its connection, and is answered at once.
        if is_probe && !has_body {
            return Ok(Arc::new(Unidentified::free(&address, has_body)));
        }
        let fields = request.headers().len();
        match Unidentified::begin(&address, fields, head::text_bytes(request), has_body) {
            Some(unidentified) => Ok(Arc::new(unidentified)),
            None => Err(self.refused(&address, AddressPool::UnidentifiedBytes)),
        }
    }

    fn refused(&self, address: &crate::access::Address, pool: AddressPool) -> Failure {
        address_limits::refuse(address, pool, (self.context.clock)())
    }
}

/// A refusal, as a gRPC status for requests that speak gRPC.
pub fn refused(headers: &HeaderMap, failure: Failure) -> Response<Body> {
    if grpc::is_grpc(headers) { grpc::refused(failure) } else { problem(&failure) }
}
