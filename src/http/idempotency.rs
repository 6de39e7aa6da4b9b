//! Safe retries: the same `Idempotency-Key` (or `request_id` in a body) asks for the same thing, not for another one.
//!
//! After draft-ietf-httpapi-idempotency-key-header. A key counts within its credential and session. The table
//! keeps a digest of it and one of the request, so that another request under the same key is recognised.

use super::failure::Failure;
use super::header_fields;
use crate::access::Identity;
use crate::domain::ids::{BodyDigest, IdempotencyId};
use crate::domain::{IdempotencyKey, SessionId};
use axum::http::HeaderName;
use axum::http::request::Parts;
use sha2::{Digest as _, Sha256};

pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The field of JSON bodies with the same meaning.
pub const FIELD: &str = "request_id";
pub const KEY_BYTES_MAX: usize = 255;

/// Within which a key counts.
pub struct Scope<'a> {
    pub identity: &'a Identity,
    pub session: Option<SessionId>,
}

/// The key of a request, if it has one: by header, or by the field `request_id` of its body.
pub fn request_key(
    head: &Parts,
    field: Option<&str>,
    scope: &Scope<'_>,
    body: &[u8],
) -> Result<Option<IdempotencyKey>, Failure> {
    let header = header(head)?;
    let key = match (header, field) {
        (Some(header), Some(field)) if header != field => {
            return Err(Failure::field(FIELD, "request_id and the header Idempotency-Key differ: send one of them"));
        }
        (header, field) => header.or(field),
    };
    let Some(key) = key else { return Ok(None) };
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let name = if header.is_some() { "Idempotency-Key" } else { FIELD };
        return Err(Failure::field(name, format!("{name} must have 1 to {KEY_BYTES_MAX} bytes, it has {}", key.len())));
    }
    let session = scope.session.map_or([0; 16], |session| session.0);
    let id = digest(&[scope.identity.scope(), &session, key.as_bytes()]);
    let body = digest(&[head.method.as_str().as_bytes(), head.uri.path().as_bytes(), body]);
    Ok(Some(IdempotencyKey { id: IdempotencyId(id), body: BodyDigest(body) }))
}

/// The key of a dialect with owner labels: it counts within the credential and the owner.
pub fn owners_key(identity: &Identity, owner: &str, key: &str, body: &[u8]) -> IdempotencyKey {
    let id = digest(&[identity.scope(), &[0; 16], owner.as_bytes(), key.as_bytes()]);
    IdempotencyKey { id: IdempotencyId(id), body: BodyDigest(digest(&[body])) }
}

fn header(head: &Parts) -> Result<Option<&str>, Failure> {
    let refused = |detail: &'static str| Failure::field("Idempotency-Key", detail);
    let mut values = header_fields::values(&head.headers, HEADER);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(key), None) => key.to_str().map(Some).map_err(|_| refused("Idempotency-Key must be visible ASCII")),
        (Some(_), Some(_)) => Err(refused("Idempotency-Key is there more than once")),
    }
}

/// The first half of a SHA-256 over the parts, each with its length.
fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let whole: [u8; 32] = hasher.finalize().into();
    let (half, _) = whole.split_at(16);
    half.try_into().expect("sixteen of thirty-two bytes")
}
