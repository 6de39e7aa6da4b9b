//! How a simulated client makes its hold shared or exclusive, as that of `tests/cluster` does.

use std::time::Duration;

use latchd::domain::{Caller, HoldKey, Refusal, Upgrade, Wait};
use latchd::engine::{EngineError, Fault};
use tokio::time::sleep;

use super::client::{Client, Hold, unanswered};
use crate::cluster::conversion::{left, noted};
use crate::cluster::history::{Answer, Ask};
use crate::cluster::target::{Mode, Target};
use crate::cluster::tries::{ANSWER_WITHIN, PAUSE, Tries};

impl Client {
    /// Retries until there is an answer. `None` if it is not known what became of the hold; then its session is closed.
    pub async fn convert(&mut self, hold: &Hold, to: Mode, wait_ms: Option<u64>) -> Option<Hold> {
        let mut tries = Tries::new(self.call_log.now());
        let answer = loop {
            let answer = self.converted(hold, to, wait_ms).await;
            tries.end(self.call_log.now(), &answer);
            let again = matches!(answer, Answer::Unknown(_) | Answer::Refused(_));
            if !again || tries.are_over(self.call_log.now()) {
                break answer;
            }
            self.move_on();
            sleep(PAUSE).await;
        };
        let is_lost = tries.lost.is_some() || matches!(answer, Answer::Refused(_));
        let ask = Ask::Convert { token: hold.token, to, wait_ms };
        self.note(&hold.target, ask, tries.call, noted(answer.clone(), is_lost));
        let goes_on = left(hold, &answer, |token| {
            let target = Target::new(&hold.target.name, to);
            Hold { target, token, ..hold.clone() }
        });
        goes_on.iter().for_each(|left| self.replace(hold, left));
        if is_lost {
            self.abandon().await;
        }
        goes_on.filter(|_| !is_lost)
    }

    async fn converted(&mut self, hold: &Hold, to: Mode, wait_ms: Option<u64>) -> Answer {
        let (name, session, key) = (hold.name(), self.session, hold.key);
        let wait = wait_ms.map(|timeout_ms| Wait::Guarded { timeout_ms });
        let upgrade = Upgrade { name, session, key, attempt: HoldKey(self.bytes()), wait, caller: Caller::NOBODY };
        let patience = ANSWER_WITHIN + Duration::from_millis(wait_ms.unwrap_or(0));
        let changed = self.ask(patience, async move |engine| {
            let changed = match to {
                Mode::Shared => engine.downgrade(upgrade.name, session, key).await,
                _ => engine.upgrade(upgrade).await,
            };
            (changed.map(|changed| changed.token.0), None)
        });
        match changed.await {
            Ok(Ok(token)) => Answer::Converted { token },
            Ok(Err(fault)) => self.not_converted(fault),
            Err(no_answer) => unanswered(&no_answer),
        }
    }

    fn not_converted(&self, fault: Fault) -> Answer {
        match fault {
            Fault::Refused(
                Refusal::Held(_)
                | Refusal::Frozen(_)
                | Refusal::WaitTimedOut
                | Refusal::UpgradePending
                | Refusal::WouldDeadlock { .. },
            ) => Answer::Contended,
            Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey) => Answer::NotHeld,
            // Its wait has ended; nobody has said that it did so in vain.
            Fault::Refused(Refusal::WaitCancelled | Refusal::WaitDropped)
            | Fault::Engine(EngineError::ShuttingDown | EngineError::Removed(_)) => {
                Answer::Unknown(format!("{fault:?}"))
            }
            other => self.failed(other),
        }
    }
}
