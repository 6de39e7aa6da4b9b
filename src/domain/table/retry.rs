//! Retries: a request that was made before gets the same result.

use super::{Effects, Table};
use crate::domain::command::Acquire;
use crate::domain::idempotency::{IDEMPOTENCY_KEY_KEPT_MS, RequestRecord, RequestResult};
use crate::domain::ids::{Caller, CommandId, HoldKey, IdempotencyKey, Name, RequestId, Token};
use crate::domain::locks::DeliveryState;
use crate::domain::outcome::Outcome;
use crate::domain::refusal::Refusal;
use crate::mutants::planted;

impl Table {
    /// The answer to an acquire that was made before; `None` if it is new.
    pub(super) fn acquire_again(&mut self, effects: &mut Effects, id: CommandId, acquire: &Acquire) -> Option<Outcome> {
        let result = match self.recall(acquire.idempotency_key?)? {
            Ok(result) => result,
            Err(refusal) => return Some(Outcome::Refused(refusal)),
        };
        Some(match result {
            RequestResult::Hold { name, token } if name == acquire.name => {
                self.give_hold_again(&name, token, acquire.key)
            }
            RequestResult::Waiter { name, key } if name == acquire.name => self.wait_again(effects, id, acquire, key),
            _ => Outcome::Refused(Refusal::RequestReused),
        })
    }

    /// The earlier result of this request; `None` if it is new.
    pub(super) fn recall(&mut self, key: IdempotencyKey) -> Option<Result<RequestResult, Refusal>> {
        let record = self.idempotency_keys.get(key.id).filter(|_| !planted!("retries-are-new"))?;
        if record.has_expired(self.header.now) {
            self.idempotency_keys.remove(key.id, &mut self.usages);
            return None;
        }
        if record.body != key.body {
            return Some(Err(Refusal::RequestReused));
        }
        let result = record.result.clone();
        self.keep_request(key.id, result.clone());
        Some(if result == RequestResult::Ended { Err(Refusal::RequestEnded) } else { Ok(result) })
    }

    /// An orphaned hold gets its full lease from now. Any other keeps its deadline; as its first attempt may have been
    /// answered, no attempt can be cancelled any more.
    fn give_hold_again(&mut self, name: &Name, token: Token, attempt: HoldKey) -> Outcome {
        let is_orphaned = self.locks.hold(name, token).is_some_and(|hold| hold.state() == DeliveryState::Orphaned);
        self.confirm_hold(name, token, is_orphaned.then_some(attempt));
        match self.locks.hold(name, token) {
            Some(hold) => Outcome::Acquired(hold.to_grant()),
            None => Outcome::Refused(Refusal::Broken("a request without its hold")),
        }
    }

    fn wait_again(&mut self, effects: &mut Effects, id: CommandId, acquire: &Acquire, key: HoldKey) -> Outcome {
        if let Err(refusal) = self.header.limits.check_acquire(acquire) {
            return Outcome::Refused(refusal);
        }
        if acquire.wait.is_none() {
            return Outcome::Refused(Refusal::RequestReused);
        }
        match self.place_of_key(&acquire.name, key) {
            Some(place) => self.replace_waiter(effects, id, acquire, place, place),
            None => Outcome::Refused(Refusal::Broken("a request without its waiter")),
        }
    }

    /// Whether one more key can be remembered.
    pub(super) fn check_idempotency_keys(&self, key: Option<IdempotencyKey>) -> Result<(), Refusal> {
        let limit = self.header.limits.requests_max;
        let is_full = key.is_some() && self.idempotency_keys.len() as u64 >= limit;
        if is_full { Err(Refusal::RequestsFull { limit }) } else { Ok(()) }
    }

    /// Records the result of a new request.
    pub(super) fn record_request(&mut self, key: IdempotencyKey, caller: Caller, result: RequestResult) {
        let until = self.header.now.after_ms(IDEMPOTENCY_KEY_KEPT_MS);
        self.idempotency_keys.remove(key.id, &mut self.usages);
        self.idempotency_keys.insert(key.id, RequestRecord { body: key.body, caller, result, until }, &mut self.usages);
    }

    /// Records the result of a known request, and keeps its key from now on.
    pub(super) fn keep_request(&mut self, id: RequestId, result: RequestResult) {
        let until = self.header.now.after_ms(IDEMPOTENCY_KEY_KEPT_MS);
        self.idempotency_keys.keep(id, result, until, &mut self.usages);
    }
}
