//! The answers of elections.

use crate::domain::{HoldKey, LeaderView, Token};
use crate::http::frozen::Frozen;
use crate::http::{key, respond};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// Who leads.
#[derive(Serialize, ToSchema)]
pub struct Leader {
    /// What the leader says about itself.
    #[schema(example = "10.0.0.7:5432")]
    value: String,
    /// Higher than that of every leader before.
    fencing_token: u64,
    /// For so long nobody else is elected, counted from the moment at which the request was sent: what is left of the lease
    /// or of the session, and at most `elections.reliable_max`.
    #[schema(example = 1.0)]
    reliable_for_seconds: f64,
}

impl From<LeaderView> for Leader {
    fn from(leader: LeaderView) -> Leader {
        Leader {
            value: leader.value.to_string(),
            fencing_token: leader.token.0,
            reliable_for_seconds: respond::seconds(leader.reliable_for),
        }
    }
}

/// The caller leads.
#[derive(Serialize, ToSchema)]
pub struct Elected<'a> {
    /// `true`
    elected: bool,
    name: &'a str,
    /// Shows the right to renew, to change the value and to resign; a UUID, to be sent as it came.
    key: String,
    fencing_token: u64,
    value: &'a str,
    /// When the leadership ends if nothing more is heard of its session: with its lease, or with the session where that is
    /// sooner.
    expires_in_seconds: f64,
}

impl Elected<'_> {
    pub fn new<'a>(name: &'a str, value: &'a str, key: HoldKey, token: Token, expires_in: Duration) -> Elected<'a> {
        let (key, expires_in_seconds) = (key::dashed(key), respond::seconds(expires_in));
        Elected { elected: true, name, key, fencing_token: token.0, value, expires_in_seconds }
    }
}

/// Somebody else leads, or nobody may yet.
#[derive(Serialize, ToSchema)]
pub struct NotElected<'a> {
    /// `false`
    elected: bool,
    name: &'a str,
    /// Who leads. `null` where nobody does: the end of the last leader delays the next, or a hold that is no leader's is in
    /// the way.
    leader: Option<Leader>,
    /// An operator has frozen the election: nobody is elected until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    frozen: Option<Frozen>,
}

impl NotElected<'_> {
    pub fn new(name: &str, leader: Option<LeaderView>, frozen: Option<Frozen>) -> NotElected<'_> {
        NotElected { elected: false, name, leader: leader.map(Leader::from), frozen }
    }
}

/// The caller does not lead any more.
#[derive(Serialize, ToSchema)]
pub struct Resigned<'a> {
    /// `true`
    pub resigned: bool,
    pub name: &'a str,
}
