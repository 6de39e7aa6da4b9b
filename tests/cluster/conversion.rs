//! How a client makes its hold shared or exclusive. What may be done yet by a request that was lost is not known, so after
//! one the session is closed, whatever a later request was answered.

use std::time::Duration;

use serde_json::json;

use super::bodies::seconds;
use super::client::{Client, Hold};
use super::history::{Answer, Ask};
use super::target::{Mode, Target};
use super::tries::{ANSWER_WITHIN, PAUSE, Tries};
use super::wire;

/// What is left of a hold after this answer: with its new token, as it was, or nothing.
pub fn left<H: Clone>(hold: &H, answer: &Answer, converted: impl FnOnce(u64) -> H) -> Option<H> {
    match answer {
        Answer::Converted { token } => Some(converted(*token)),
        Answer::Contended | Answer::NotHeld => Some(hold.clone()),
        _ => None,
    }
}

/// What to note of a conversion whose last request was answered so.
pub fn noted(answer: Answer, is_lost: bool) -> Answer {
    match answer {
        Answer::Contended if is_lost => Answer::Unknown("lost, and asked again in vain".to_owned()),
        Answer::Refused(why) => Answer::Unknown(format!("given up: {why}")),
        answer => answer,
    }
}

impl Client<'_> {
    /// Retries until there is an answer. `None` if it is not known what became of the hold; then its session is closed.
    pub fn convert(&mut self, hold: &Hold, to: Mode, wait_ms: Option<u64>) -> Option<Hold> {
        let mut tries = Tries::new(self.recorder.now());
        let answer = loop {
            let answer = self.converted(hold, to, wait_ms);
            tries.end(self.recorder.now(), &answer);
            let again = matches!(answer, Answer::Unknown(_) | Answer::Refused(_));
            if !again || tries.are_over(self.recorder.now()) {
                break answer;
            }
            self.move_on();
            std::thread::sleep(PAUSE);
        };
        let ask = Ask::Convert { token: hold.token, to, wait_ms };
        let is_lost = tries.lost.is_some() || matches!(answer, Answer::Refused(_));
        self.note(&hold.target, ask, tries.call, noted(answer.clone(), is_lost));
        let goes_on = left(hold, &answer, |token| {
            let target = Target::new(&hold.target.name, to);
            Hold { target, token, ..hold.clone() }
        });
        goes_on.iter().for_each(|left| self.replace(hold, left));
        if is_lost {
            self.abandon();
        }
        goes_on.filter(|_| !is_lost)
    }

    fn converted(&mut self, hold: &Hold, to: Mode, wait_ms: Option<u64>) -> Answer {
        let verb = if to == Mode::Shared { "/v1/downgrade" } else { "/v1/upgrade" };
        let mut body = json!({"name": hold.target.name, "key": hold.key});
        if let Some(wait_ms) = wait_ms {
            body["wait_timeout_seconds"] = json!(seconds(wait_ms));
        }
        let within = ANSWER_WITHIN + Duration::from_millis(wait_ms.unwrap_or(0));
        let answer = match self.send(&wire::Ask::post(verb, &body), within) {
            Ok(answer) => answer,
            Err(silence) => return super::client::unanswered(&silence),
        };
        let told = answer.text();
        match answer.status {
            404 => Answer::NotHeld,
            409 if told.contains("Another holder waits to be the only one") => Answer::Contended,
            _ => self.judge(&answer, |body| match body["locked"].as_bool()? {
                true => Some(Answer::Converted { token: body["fencing_token"].as_u64()? }),
                false => Some(Answer::Contended),
            }),
        }
    }
}
