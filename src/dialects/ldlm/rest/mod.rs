//! Sessions v1, the native dialect: LDLM's REST interface with its cookie, byte for byte, minus its defects.
//!
//! Beyond LDLM: `wait_timeout_seconds` and `metadata` on `/v1/lock`, fractions of a second, `fencing_token` and
//! `expires_in_seconds` in answers, `/v1/renew` and `/v1/refreshlock` side by side.

mod answer;
mod caller;
mod holds;
mod request;
mod session;

pub use holds::{lock, renew, unlock};
pub use session::{not_found, session};
