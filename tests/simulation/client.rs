//! A client of a simulated cluster that uses all nodes and records every call and its answer.

use std::sync::Arc;
use std::time::Duration;

use latchd::domain::{BodyDigest, Caller, HoldKey, IdempotencyId, IdempotencyKey, Name, Refusal, SessionId};
use latchd::engine::{Engine, EngineError, Fault, GrantGuard};
use tokio::time::{Instant, sleep};

use super::call_log::CallLog;
use super::endpoints::{Endpoints, NoAnswer};
use super::node::DRIFT_MAX_PPM;
use super::requests;
use crate::cluster::history::{Answer, Ask, Nanos, Op};
use crate::cluster::target::Target;
use crate::cluster::tries::{ANSWER_WITHIN, GIVE_UP_AFTER, PAUSE, Tries, Wanted};
use crate::proof::random::Random;

#[derive(Clone, Debug)]
pub struct Hold {
    pub target: Target,
    pub key: HoldKey,
    pub token: u64,
}

pub struct Client {
    pub number: u64,
    pub call_log: Arc<CallLog>,
    endpoints: Endpoints,
    nodes: Vec<u64>,
    pub random: Random,
    node: u64,
    pub session: Option<SessionId>,
    /// The holds of the session that were not released, even if their leases may be over.
    held: Vec<Hold>,
}

impl Client {
    pub fn new(
        number: u64,
        call_log: &Arc<CallLog>,
        endpoints: &Endpoints,
        nodes: &[u64],
        mut random: Random,
    ) -> Client {
        let node = nodes[random.below(nodes.len())];
        let (call_log, endpoints, nodes) = (call_log.clone(), endpoints.clone(), nodes.to_vec());
        Client { number, call_log, endpoints, nodes, random, node, session: None, held: Vec::new() }
    }

    /// Moves to another node, chosen at random, in the same session.
    pub fn move_on(&mut self) {
        self.node = self.nodes[self.random.below(self.nodes.len())];
    }

    pub fn move_to(&mut self, node: u64) {
        self.node = node;
    }

    /// Acquires a lock, or several at once. `None` if it was not granted, or if that is unknown: then the session is closed, which releases it.
    pub async fn acquire(&mut self, target: impl Into<Target>, wanted: Wanted, id: u64) -> Option<Hold> {
        let target = target.into();
        self.call_log.is_asked_for(&target);
        let session = self.session().await?;
        let request = IdempotencyKey { id: IdempotencyId(self.bytes()), body: BodyDigest([7; 16]) };
        let request = wanted.keyed.then_some(request);
        let mut tries = Tries::new(self.call_log.now());
        let (answer, key) = loop {
            tries.begin(self.call_log.now());
            let (answer, key) = self.locked(&target, wanted, session, request).await;
            let again = wanted.keyed && matches!(answer, Answer::Unknown(_) | Answer::Refused(_));
            tries.end(self.call_log.now(), &answer);
            if !again || tries.are_over(self.call_log.now()) {
                break (answer, key);
            }
            self.move_on();
            sleep(PAUSE).await;
        };
        let lease_ms = certain_ms(wanted.lease_ms);
        let Wanted { wait_ms, keyed, .. } = wanted;
        let op = self.op(id, &target, Ask::Acquire { lease_ms, wait_ms, keyed }, tries.call);
        let token = match &answer {
            Answer::Granted { token } => Some(*token),
            _ => None,
        };
        let ops = tries.acquired(op, answer, || self.call_log.number());
        ops.into_iter().for_each(|op| self.call_log.op(op));
        let hold = key.zip(token).map(|(key, token)| Hold { target, key, token });
        if hold.is_none() && tries.lost.is_some() {
            self.abandon().await;
        }
        self.held.extend(hold.clone());
        hold
    }

    async fn locked(
        &mut self,
        target: &Target,
        wanted: Wanted,
        session: SessionId,
        request: Option<IdempotencyKey>,
    ) -> (Answer, Option<HoldKey>) {
        let acquire = requests::acquire(target, wanted, session, HoldKey(self.bytes()), request);
        let granted = self.ask(wanted.patience, async move |engine| match engine.acquire(acquire).await {
            Ok(granted) => (Ok((granted.key, granted.token.0)), Some(granted.delivery)),
            Err(fault) => (Err(fault), None),
        });
        match granted.await {
            Ok(Ok((key, token))) => (Answer::Granted { token }, Some(key)),
            Ok(Err(fault)) => (self.not_acquired(fault), None),
            Err(no_answer) => (unanswered(&no_answer), None),
        }
    }

    fn not_acquired(&self, fault: Fault) -> Answer {
        match fault {
            Fault::Refused(
                Refusal::Held(_) | Refusal::Frozen(_) | Refusal::WaitTimedOut | Refusal::WouldDeadlock { .. },
            ) => Answer::Contended,
            // It may have been granted, to a node that was declared down or that drains.
            Fault::Refused(Refusal::WaitCancelled | Refusal::WaitDropped | Refusal::RequestEnded)
            | Fault::Engine(EngineError::ShuttingDown | EngineError::Removed(_)) => {
                Answer::Unknown(format!("{fault:?}"))
            }
            other => self.failed(other),
        }
    }

    /// Releases a hold, and retries until there is an answer: a repeated release does no harm.
    pub async fn release(&mut self, hold: &Hold) {
        self.held.retain(|held| held.token != hold.token);
        let mut tries = Tries::new(self.call_log.now());
        let (answer, given_up) = loop {
            let (name, session, proof) = (hold.name(), self.session, requests::proof(hold));
            let released =
                self.ask(ANSWER_WITHIN, async move |engine| (engine.release(name, session, proof).await, None));
            let answer = match released.await {
                Ok(Ok(_)) => Answer::Released,
                Ok(Err(Fault::Refused(Refusal::WrongKey | Refusal::NoSuchLock))) => Answer::NotHeld,
                Ok(Err(fault)) => self.failed(fault),
                Err(no_answer) => unanswered(&no_answer),
            };
            tries.end(self.call_log.now(), &answer);
            match answer {
                // One that was lost may have done it.
                Answer::NotHeld if tries.lost.is_some() => {
                    break (Answer::Unknown("lost, then gone".to_owned()), false);
                }
                Answer::Released | Answer::NotHeld => break (answer, false),
                _ if tries.are_over(self.call_log.now()) => break (Answer::Unknown(format!("{answer:?}")), true),
                _ => self.move_on(),
            }
            sleep(PAUSE).await;
        };
        self.note(&hold.target, Ask::Release { token: hold.token }, tries.call, answer);
        if given_up {
            self.abandon().await;
        }
    }

    /// Renews a lease, without a retry.
    pub async fn renew(&mut self, hold: &Hold, lease_ms: u64) {
        let call = self.call_log.now();
        let (name, session, proof) = (hold.name(), self.session, requests::proof(hold));
        let renewed =
            self.ask(ANSWER_WITHIN, async move |engine| (engine.renew(name, session, proof, lease_ms).await, None));
        let answer = match renewed.await {
            Ok(Ok(_)) => Answer::Renewed,
            Ok(Err(Fault::Refused(Refusal::WrongKey | Refusal::NoSuchLock))) => Answer::NotHeld,
            Ok(Err(fault)) => self.failed(fault),
            Err(no_answer) => unanswered(&no_answer),
        };
        let ask = Ask::Renew { token: hold.token, lease_ms: certain_ms(lease_ms) };
        self.note(&hold.target, ask, call, answer);
    }

    /// Reads a lock; `None` if no answer came.
    pub async fn read(&mut self, name: &str) -> Option<(Option<u64>, u64)> {
        let call = self.call_log.now();
        let wanted = Name::from(name);
        let seen = self.ask(ANSWER_WITHIN, async move |engine| (engine.lock(&wanted).await, None));
        let answer = match seen.await {
            Ok(Ok((lock, _))) => requests::seen(lock),
            Ok(Err(fault)) => self.failed(fault),
            Err(no_answer) => unanswered(&no_answer),
        };
        let seen = match &answer {
            Answer::Seen { token, waiters, .. } => Some((*token, *waiters)),
            _ => None,
        };
        self.note(&name.into(), Ask::Read, call, answer);
        if seen.is_none() {
            self.move_on();
        }
        seen
    }

    /// Closes the session, which releases all of its holds, known or not.
    pub async fn abandon(&mut self) {
        let began = Instant::now();
        for hold in std::mem::take(&mut self.held) {
            let (ask, answer) = (Ask::Release { token: hold.token }, "its session is closed".to_owned());
            self.note(&hold.target, ask, self.call_log.now(), Answer::Unknown(answer));
        }
        while let Some(session) = self.session.filter(|_| began.elapsed() < GIVE_UP_AFTER) {
            let closed = self.ask(ANSWER_WITHIN, async move |engine| (engine.close_session(session).await, None));
            match closed.await {
                Ok(Ok(()) | Err(Fault::Refused(Refusal::SessionUnknown))) => self.session = None,
                _ => {
                    self.move_on();
                    sleep(PAUSE).await;
                }
            }
        }
        self.session = None;
    }

    /// Its session, which is opened if there is none; `None` if no node could open one.
    async fn session(&mut self) -> Option<SessionId> {
        let began = Instant::now();
        let key = IdempotencyKey { id: IdempotencyId(self.bytes()), body: BodyDigest([9; 16]) };
        while self.session.is_none() && began.elapsed() < GIVE_UP_AFTER {
            let opened = self
                .ask(ANSWER_WITHIN, async move |engine| (engine.open_session(Some(key), Caller::NOBODY).await, None));
            match opened.await {
                Ok(Ok(session)) => self.session = Some(session),
                _ => {
                    self.move_on();
                    sleep(PAUSE).await;
                }
            }
        }
        self.session
    }

    pub async fn ask<T, F>(&mut self, patience: Duration, what: impl FnOnce(Engine) -> F) -> Result<T, NoAnswer>
    where
        T: Send + 'static,
        F: Future<Output = (T, Option<GrantGuard>)> + Send + 'static,
    {
        let travels = Duration::from_millis(2 + self.random.next() % 4);
        self.endpoints.clone().ask(self.node, travels, patience, what).await
    }

    /// An error that is not an answer about the lock.
    pub fn failed(&self, fault: Fault) -> Answer {
        match fault {
            Fault::Engine(EngineError::OutcomeUnknown) => Answer::Unknown("outcome unknown".to_owned()),
            Fault::Engine(error) => Answer::Refused(error.to_string()),
            Fault::Refused(Refusal::UnknownIncarnation) => Answer::Refused("unknown origin".to_owned()),
            Fault::Refused(Refusal::NotYet { .. }) => Answer::Refused("the level is too low".to_owned()),
            other => {
                self.call_log.complain(format!("client {} at node {} was answered {other:?}", self.number, self.node));
                Answer::Unknown(format!("{other:?}"))
            }
        }
    }

    pub fn bytes(&mut self) -> [u8; 16] {
        (u128::from(self.random.next()) << 64 | u128::from(self.random.next())).to_le_bytes()
    }

    fn op(&self, id: u64, target: &Target, ask: Ask, call: Nanos) -> Op {
        let (client, node, end) = (self.number, self.node, self.call_log.now());
        let (answer, target) = (Answer::Unknown(String::new()), target.clone());
        Op { id, client, node, target, ask, call, end, answer, lost_for: 0, asked_again: 0 }
    }

    pub fn note(&self, target: &Target, ask: Ask, call: Nanos, answer: Answer) {
        let op = self.op(self.call_log.number(), target, ask, call);
        self.call_log.op(Op { answer, ..op });
    }

    /// A hold goes on with another token.
    pub fn replace(&mut self, hold: &Hold, by: &Hold) {
        self.held.iter_mut().filter(|held| held.token == hold.token).for_each(|held| *held = by.clone());
    }
}

impl Hold {
    /// The first, if there are several.
    pub fn name(&self) -> Name {
        Name::from(self.target.name.as_str())
    }
}

/// The part of a lease that is left by the true clock where the leader's is too fast, less a step for rounding.
pub fn certain_ms(lease_ms: u64) -> u64 {
    let part = u64::try_from(1_000_000 - DRIFT_MAX_PPM).expect("positive");
    (lease_ms * part / 1_000_000).saturating_sub(2)
}

pub fn unanswered(no_answer: &NoAnswer) -> Answer {
    match no_answer {
        NoAnswer::NotSent => Answer::Refused("nobody listens".to_owned()),
        NoAnswer::Lost => Answer::Unknown("no answer".to_owned()),
    }
}
