//! From the head of a request to the last byte of its answer: what keeps its connection from counting as idle.

use std::sync::Arc;

use axum::http::Version;

use super::super::link::Link;

/// A request that counts while it lives.
pub struct InFlight {
    link: Arc<Link>,
}

impl InFlight {
    /// A request's head is complete.
    pub fn begin(link: &Arc<Link>, version: Version) -> Self {
        link.request_begins(version == Version::HTTP_2);
        Self { link: Arc::clone(link) }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.link.request_ends();
    }
}
