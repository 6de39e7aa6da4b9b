//! Who is this caller, and what may they do.
//!
//! A request's headers become [`Presented`] secrets; [`Access`] turns secrets and an address into a
//! [`Verdict`]; the [`Identity`] in it answers what the caller may do. Pure: no socket, no runtime, no
//! clock (`now` is handed in), no other room. No secret is kept in the clear or printed by `Debug`.
//!
//! A credential that this process has seen succeed once is always let in, whatever its address did before:
//! the throttle slows failures only. The price is that a guess which happens to be right is let in too, so
//! it is the length of a secret that protects it, and the throttle that keeps guessing cheap for *us*.

mod checker;
mod credential;
mod digest;
mod gate;
mod hashing;
mod identity;
mod memory;
mod options;
mod presented;
mod seal;
mod throttle;
mod visible;

#[cfg(test)]
mod tests;

pub use checker::Access;
pub use credential::{AccessError, Credential};
pub use hashing::{hash_key, hash_password};
pub use identity::{Identity, Role};
pub use options::{AccessOptions, Verdict};
pub use presented::{InHeaders, Presented, presented_in_headers};
pub use seal::Seal;
pub use visible::session_handle;
