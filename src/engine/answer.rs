//! The result of a command, as the request that waits for it receives it.

use super::error::EngineError;
use crate::domain::{Grant, Outcome};
use tokio::sync::oneshot;

pub type Answer = Result<Answered, EngineError>;
pub type AnswerSender = oneshot::Sender<Answer>;
pub type AnswerReceiver = oneshot::Receiver<Answer>;

#[derive(Debug)]
pub enum Answered {
    Outcome(Outcome),
    /// The wait for a hold ended with this grant.
    GrantedAfterWait {
        grant: Grant,
        /// This node must have the grant confirmed before it answers.
        unconfirmed: bool,
    },
}
