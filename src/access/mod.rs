//! Who is this caller, and what may they do.
//!
//! A request's headers become [`Presented`] secrets; [`Access`] turns secrets and an address into a
//! [`Verdict`]; the [`Identity`] in it answers what the caller may do. No socket, no runtime, no clock (`now` is handed in)
//! but the wall clock, by which keys expire, no other room but `base`. No secret is kept in the clear or printed by `Debug`.
//!
//! A valid key is always let in, whatever its address did before, and so is a password from an address where it has
//! opened before: the throttle slows failures only. A key's length protects it from guesses; guesses of a password are
//! judged once a second from an address that fails, and a client that never failed is judged before those.

mod addresses;
mod certificate;
mod checker;
mod credential;
mod digest;
mod ending;
mod gate;
mod identity;
mod key_ring;
mod known_secrets;
mod lack;
mod logins;
pub mod oidc;
mod options;
mod passwords;
mod presented;
mod rates;
mod reloading;
pub mod reserved_names;
mod seal;
mod throttle;
mod unidentified;
mod with_tokens;

#[cfg(test)]
mod tests;

pub use addresses::{Address, AddressPool, Addresses, Place, Share};
pub use certificate::{CertificateName, CertificateRule, ClientCertificate};
pub use checker::Access;
pub use credential::{ApiKey, Credential, hash_key, hash_password};
pub use ending::Ending;
pub use identity::{Identity, Role};
pub use key_ring::check_name;
pub use lack::Lack;
pub use logins::{LoginId, LoginTimes, Logins};
pub use options::{AccessError, AccessOptions, Verdict};
pub use presented::{InHeaders, Presented, presented_in_headers};
pub use rates::{Rate, RateUse, Rates, Subject};
pub use seal::Seal;
pub use unidentified::Unidentified;
