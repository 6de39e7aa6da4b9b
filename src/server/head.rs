//! The bounds on a request's head under HTTP/2, where the library refuses without a word and counts no fields. Under
//! HTTP/1 it does count them, and `parse_errors.rs` gives its refusals their words.

use axum::http::{Request, Version};

use crate::http::code::Code;
use crate::http::failure::Failure;

/// As many as under HTTP/1.
pub const FIELDS_MAX: usize = 100;
/// What a field counts besides its text (RFC 9113, 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// The bytes of a request's target and fields.
pub fn text_bytes<B>(request: &Request<B>) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() + target
}

/// Whether a head under HTTP/2 is within its bounds.
pub fn check<B>(request: &Request<B>, header_bytes_max: usize) -> Result<(), Failure> {
    if request.version() != Version::HTTP_2 {
        return Ok(());
    }
    let fields = request.headers().len();
    if fields > FIELDS_MAX {
        let detail = format!("the request has {fields} header fields, and at most {FIELDS_MAX} are allowed");
        return Err(Failure { limit: Some(FIELDS_MAX as u64), ..Failure::new(Code::HeadTooLarge, detail) });
    }
    if text_bytes(request) + fields * FIELD_OVERHEAD > header_bytes_max {
        let detail = format!(
            "the request line and headers must be at most {header_bytes_max} bytes long (server.header_bytes_max)"
        );
        return Err(Failure { limit: Some(header_bytes_max as u64), ..Failure::new(Code::HeadTooLarge, detail) });
    }
    Ok(())
}
