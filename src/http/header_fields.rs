//! Header fields, found by looking at each: a request has few, and a lookup in the map hashes the name first.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The values of a field in their order.
pub fn values(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &HeaderValue> {
    headers.iter().filter(move |(field, _)| **field == name).map(|(_, value)| value)
}
