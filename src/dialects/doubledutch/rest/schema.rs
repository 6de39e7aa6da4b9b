//! The bodies of the GET_LOCK style.

use crate::domain::{HoldKey, Name, Token};
use crate::http::endpoint::ErrorShape;
use serde::{Serialize, Serializer};
use utoipa::{IntoParams, ToSchema};

/// The lock is taken.
#[derive(Serialize, ToSchema)]
#[schema(as = GetLockTaken)]
pub struct Taken<'a> {
    pub servername: &'a str,
    pub lockname: &'a str,
    /// Shows the right to release: 32 characters.
    pub sessiontoken: &'a str,
    pub lockacquired: bool,
    /// Higher than every token given before.
    pub fencing_token: u64,
    /// Seconds until the lock is released by itself: with its lifetime, or with its session where that is sooner.
    pub expires_in: Option<f64>,
}

/// The lock is held by another, and stayed so for `timeout` seconds.
#[derive(Serialize, ToSchema)]
#[schema(as = GetLockNotTaken)]
pub struct NotTaken<'a> {
    pub servername: &'a str,
    pub lockname: &'a str,
    pub sessiontoken: &'a str,
    pub lockacquired: bool,
    /// Why and until when an operator has frozen the name, if that is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = GetLockReleased)]
pub struct ReleaseAnswer<'a> {
    pub servername: &'a str,
    pub lockname: &'a str,
    pub lockreleased: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = GetLockStatus)]
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
    /// For the order.
    #[serde(skip)]
    pub token: Token,
    #[schema(value_type = String)]
    #[serde(serialize_with = "shared_text")]
    pub lockname: Name,
    /// Empty unless the caller is an admin.
    #[schema(value_type = String)]
    #[serde(serialize_with = "key_or_nothing")]
    pub sessiontoken: Option<HoldKey>,
    /// Seconds until it ends if nothing more is heard of its owner; null with neither a lease nor a session.
    pub remaining: Option<f64>,
}

#[derive(Serialize, ToSchema)]
pub struct OtherHold {
    #[schema(value_type = String)]
    #[serde(serialize_with = "shared_text")]
    pub lockname: Name,
    pub dialect: &'static str,
    pub remaining: Option<f64>,
}

fn shared_text<S: Serializer>(text: &Name, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text)
}

/// The field is always there, because clients expect it.
fn key_or_nothing<S: Serializer>(key: &Option<HoldKey>, to: S) -> Result<S::Ok, S::Error> {
    match key {
        Some(key) => to.collect_str(key),
        None => to.serialize_str(""),
    }
}

/// An error, with its text under the key that a client of this path reads.
macro_rules! error_answer {
    ($name:ident as $shape:ident, $text:ident) => {
        #[derive(ToSchema)]
        #[schema(as = $shape)]
        #[expect(dead_code, reason = "`answer` writes it under the key of its path")]
        pub struct $name {
            $text: String,
            code: String,
            servername: String,
            /// The parameter at fault.
            #[schema(required = false)]
            field: String,
            /// The bound that was exceeded.
            #[schema(required = false)]
            limit: f64,
            /// The key of the server's `config.toml` that sets it.
            #[schema(required = false)]
            config_key: String,
        }
    };
}

error_answer!(ErrorAnswer as GetLockError, error);
error_answer!(StatusError as GetLockStatusError, status);

impl ErrorShape for ErrorAnswer {}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the handler reads the query itself")]
pub struct LockQuery {
    /// The lock's name.
    #[param(format = "lock-name", example = "deploy")]
    lockname: String,
    /// A password or an API key, if it is not in a header.
    auth: Option<String>,
    /// Seconds until the lock is released by itself.
    #[param(minimum = 0, default = 30)]
    lifetime: Option<f64>,
    /// Seconds to wait for the lock.
    #[param(minimum = 0, default = 0)]
    timeout: Option<f64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the handler reads the query itself")]
pub struct ReleaseQuery {
    /// The lock's name.
    #[param(format = "lock-name", example = "deploy")]
    lockname: String,
    /// The `sessiontoken` of `GET /getlock`.
    token: String,
    /// A password or an API key, if it is not in a header.
    auth: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the handler reads the query itself")]
pub struct StatusQuery {
    /// A password or an API key, if it is not in a header.
    auth: Option<String>,
}
