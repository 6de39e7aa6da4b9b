//! The parameters that a route captures from a path, percent-decoded.

use super::failure::Failure;
use axum::extract::RawPathParams;
use axum::extract::rejection::RawPathParamsRejection;

/// The captures of a route, as axum hands them over.
pub type Captured = Result<RawPathParams, RawPathParamsRejection>;

/// The capture `field`; axum fails only for text that is not UTF-8.
pub fn capture(captured: &Captured, field: &'static str) -> Result<String, Failure> {
    let broken = || Failure::field(field, format!("{field} must be UTF-8, percent-encoded"));
    let captures = captured.as_ref().map_err(|_| broken())?;
    let found = captures.iter().find(|(known, _)| *known == field);
    found.map(|(_, value)| value.to_owned()).ok_or_else(broken)
}
