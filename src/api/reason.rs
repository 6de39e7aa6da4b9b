//! Why an operator does something, which the log, the audit log and the history tell.

use crate::domain::Force;
use crate::http::Failure;

const BYTES_MAX: usize = Force::TEXT_BYTES_MAX;
const _: () = assert!(BYTES_MAX == 256, "the limit in the document");

/// Without the space around it.
pub fn needed(reason: &str) -> Result<&str, Failure> {
    match optional(reason)? {
        "" => {
            let detail = format!("reason must be given, with 1 to {BYTES_MAX} bytes");
            Err(Failure::field("reason", detail).with_limit(BYTES_MAX as u64))
        }
        reason => Ok(reason),
    }
}

/// The same, or nothing.
pub fn optional(reason: &str) -> Result<&str, Failure> {
    let reason = reason.trim();
    if reason.len() <= BYTES_MAX {
        return Ok(reason);
    }
    let detail = format!("reason must be at most {BYTES_MAX} bytes long, and has {}", reason.len());
    Err(Failure::limit("reason", BYTES_MAX as u64, detail))
}
