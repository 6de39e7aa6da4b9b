//! Elections: who leads.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::clock::Moment;
use super::core::Client;
use super::error::ClientError;

/// The path of requests whose query names an election: a path cannot carry every name.
pub(super) const PATH: &str = "/v1/elections";
const NOBODY: &str = "no-elected-leader";

/// The leader of an election.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Leader {
    /// What it says about itself.
    pub value: String,
    /// Higher than that of every leader before.
    pub fencing_token: u64,
    /// For how long nobody else is elected after the request was sent.
    pub reliable_for_seconds: f64,
}

impl Client {
    /// Who leads, and until when nobody else is elected.
    pub async fn leader(&self, name: &str) -> Result<Option<(Leader, Moment)>, ClientError> {
        let call = Call::new(Method::GET, PATH).query("name", name);
        match self.send(&call, self.retry_policy()).await {
            Ok(answer) => {
                let leader: Leader = answer.read()?;
                let reliable = Duration::try_from_secs_f64(leader.reliable_for_seconds).unwrap_or_default();
                Ok(Some((leader, answer.sent.after(reliable))))
            }
            Err(error) if error.is(StatusCode::NOT_FOUND, NOBODY) => Ok(None),
            Err(error) => Err(error.or_older(["elections"].into_iter())),
        }
    }
}
