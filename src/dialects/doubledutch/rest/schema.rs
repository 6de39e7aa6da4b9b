//! The bodies of the GET_LOCK style.

use serde::Serialize;
use utoipa::ToSchema;

/// The lock is taken.
#[derive(Serialize, ToSchema)]
pub struct Taken<'a> {
    pub servername: &'a str,
    pub lockname: &'a str,
    /// Shows the right to release: 32 characters.
    pub sessiontoken: &'a str,
    pub lockacquired: bool,
    /// Higher than every token given before.
    pub fencing_token: u64,
    /// Seconds until the lock is given back by itself: with its lifetime, or with its session where that is sooner.
    pub expires_in: Option<f64>,
}

/// The lock is held by another, and stayed so for `timeout` seconds.
#[derive(Serialize, ToSchema)]
pub struct NotTaken<'a> {
    pub servername: &'a str,
    pub lockname: &'a str,
    pub sessiontoken: &'a str,
    pub lockacquired: bool,
}

#[derive(Serialize, ToSchema)]
pub struct ReleaseAnswer<'a> {
    pub servername: &'a str,
    pub lockname: &'a str,
    pub lockreleased: bool,
}

#[derive(Serialize, ToSchema)]
pub struct StatusAnswer<'a> {
    pub servername: &'a str,
    pub status: &'a str,
    /// The holds of this dialect in order of acquisition.
    pub locks: Vec<&'a OwnHold>,
    /// The holds that other dialects took, in order of names.
    pub other_locks: &'a [OtherHold],
    /// There are more holds than are listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

#[derive(Serialize, ToSchema)]
pub struct OwnHold {
    pub lockname: String,
    /// Empty unless the caller is an admin.
    pub sessiontoken: String,
    /// Seconds until it ends if nothing more is heard of its owner; null with neither a lease nor a session.
    pub remaining: Option<f64>,
}

#[derive(Serialize, ToSchema)]
pub struct OtherHold {
    pub lockname: String,
    pub dialect: &'static str,
    pub remaining: Option<f64>,
}
