//! One client of sessions v1 through all nodes, which notes every call and its answer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bodies::{self, seconds};
use super::fleet::Addresses;
use super::history::{Answer, Ask, Nanos, Op, Recorder};
use super::target::Target;
use super::tries::{ANSWER_WITHIN, GIVE_UP_AFTER, PAUSE, Tries, Wanted};
use super::wire::{self, Silence, Wire};
use crate::proof::random::Random;
use crate::support::http::Response;

const COOKIE: &str = "ldlm-session";

#[derive(Clone, Debug)]
pub struct Hold {
    pub target: Target,
    pub key: String,
    pub token: u64,
}

pub struct Client<'a> {
    number: u64,
    nodes: Addresses,
    pub recorder: &'a Recorder,
    random: Random,
    node: u64,
    wire: Wire,
    session: Option<String>,
    /// The holds of the session that were not released, even if their leases may be over.
    held: Vec<Hold>,
}

impl<'a> Client<'a> {
    pub fn new(number: u64, nodes: &Addresses, recorder: &'a Recorder, mut random: Random) -> Self {
        let (node, address) = nodes.pick(random.next());
        Self {
            number,
            nodes: nodes.clone(),
            recorder,
            random,
            node,
            wire: Wire::new(address),
            session: None,
            held: Vec::new(),
        }
    }

    /// Moves to another node, chosen at random, in the same session.
    pub fn move_on(&mut self) {
        let (node, address) = self.nodes.pick(self.random.next());
        self.move_to(node, address);
    }

    pub fn move_to(&mut self, node: u64, address: std::net::SocketAddr) {
        self.node = node;
        self.wire = Wire::new(address);
    }

    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Acquires a lock, or several at once. `None` if it was not granted, or if that is unknown: then the session is closed, which releases it.
    pub fn acquire(&mut self, target: impl Into<Target>, wanted: Wanted, id: u64) -> Option<Hold> {
        let target = target.into();
        if !self.has_session() {
            return None;
        }
        let key = format!("{}-{id}-{}", self.number, self.random.next());
        let mut body = bodies::acquire(&target);
        body["lock_timeout_seconds"] = json!(seconds(wanted.lease_ms));
        if let Some(wait_ms) = wanted.wait_ms {
            body["wait_timeout_seconds"] = json!(seconds(wait_ms));
        }
        let mut tries = Tries::new(self.recorder.now());
        let (answer, hold_key) = loop {
            let header = [("Idempotency-Key", key.as_str())];
            let headers: &[_] = if wanted.keyed { &header } else { &[] };
            tries.begin(self.recorder.now());
            let (answer, hold_key) = self.locked("/v1/lock", &body, headers, wanted.patience);
            let again = wanted.keyed && matches!(answer, Answer::Unknown(_) | Answer::Refused(_));
            tries.end(self.recorder.now(), &answer);
            if !again || tries.are_over(self.recorder.now()) {
                break (answer, hold_key);
            }
            self.move_on();
            std::thread::sleep(PAUSE);
        };
        let Wanted { lease_ms, wait_ms, keyed, .. } = wanted;
        if answer == Answer::Ended && tries.failed.is_none() {
            let name = &target.name;
            self.recorder.complain(format!("client {}, {name}: ended, but nothing was asked before", self.number));
        }
        let op = self.op(id, &target, Ask::Acquire { lease_ms, wait_ms, keyed }, tries.call);
        let ops = tries.acquired(op, answer, || self.recorder.number());
        ops.into_iter().for_each(|op| self.recorder.op(op));
        let hold = hold_key.map(|(key, token)| Hold { target, key, token });
        if hold.is_none() && tries.lost.is_some() {
            self.abandon();
        }
        self.held.extend(hold.clone());
        hold
    }

    /// Releases a hold, and retries until there is an answer: a repeated release does no harm.
    pub fn release(&mut self, hold: &Hold) {
        self.held.retain(|held| held.token != hold.token);
        let body = bodies::of_hold(&hold.target, &hold.key);
        let mut tries = Tries::new(self.recorder.now());
        let answer = loop {
            let answer = match self.send(&wire::Ask::post("/v1/unlock", &body), ANSWER_WITHIN) {
                Ok(answer) => self.judge(&answer, |body| match (body["unlocked"].as_bool()?, &body["error"]["code"]) {
                    (true, _) => Some(Answer::Released),
                    (false, code) if code == "LockDoesNotExist" || code == "InvalidLockKey" => Some(Answer::NotHeld),
                    _ => None,
                }),
                Err(silence) => unanswered(&silence),
            };
            tries.end(self.recorder.now(), &answer);
            match answer {
                // One that was lost may have done it.
                Answer::NotHeld if tries.lost.is_some() => break Answer::Unknown("lost, then not held".to_owned()),
                Answer::Released | Answer::NotHeld => break answer,
                _ if tries.are_over(self.recorder.now()) => break Answer::Unknown(format!("given up: {answer:?}")),
                _ => self.move_on(),
            }
            std::thread::sleep(PAUSE);
        };
        let given_up = !matches!(answer, Answer::Released | Answer::NotHeld) && tries.are_over(self.recorder.now());
        self.note(&hold.target, Ask::Release { token: hold.token }, tries.call, answer);
        if given_up {
            self.abandon();
        }
    }

    /// Renews a lease, without a retry.
    pub fn renew(&mut self, hold: &Hold, lease_ms: u64) {
        let mut body = bodies::of_hold(&hold.target, &hold.key);
        body["lock_timeout_seconds"] = json!(seconds(lease_ms));
        let call = self.recorder.now();
        let (answer, _) = self.locked("/v1/renew", &body, &[], ANSWER_WITHIN);
        let answer = match answer {
            Answer::Granted { .. } => Answer::Renewed,
            Answer::Contended => Answer::NotHeld,
            other => other,
        };
        self.note(&hold.target, Ask::Renew { token: hold.token, lease_ms }, call, answer);
    }

    /// Reads a lock; `None` if no answer came.
    pub fn read(&mut self, name: &str) -> Option<(Option<u64>, u64)> {
        let call = self.recorder.now();
        let answer = match self.send(&wire::Ask::get(&format!("/v1/locks/{name}")), ANSWER_WITHIN) {
            Ok(answer) if answer.status == 404 => Answer::Seen { token: None, others: Vec::new(), waiters: 0 },
            Ok(answer) => self.judge(&answer, bodies::seen),
            Err(silence) => unanswered(&silence),
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
    pub fn abandon(&mut self) {
        let began = Instant::now();
        for hold in std::mem::take(&mut self.held) {
            let (ask, answer) = (Ask::Release { token: hold.token }, "its session is closed".to_owned());
            self.note(&hold.target, ask, self.recorder.now(), Answer::Unknown(answer));
        }
        while self.session.is_some() && began.elapsed() < GIVE_UP_AFTER {
            let ask = wire::Ask { method: "DELETE", target: "/session", headers: &[], body: None };
            match self.send(&ask, ANSWER_WITHIN) {
                Ok(answer) if answer.status == 200 || answer.status == 409 => self.session = None,
                _ => {
                    self.move_on();
                    std::thread::sleep(PAUSE);
                }
            }
        }
        self.session = None;
    }

    /// Opens a session unless there is one; false when nobody could open one.
    fn has_session(&mut self) -> bool {
        let began = Instant::now();
        let key = format!("session-{}-{}", self.number, self.random.next());
        while self.session.is_none() && began.elapsed() < GIVE_UP_AFTER {
            let headers = [("Idempotency-Key", key.as_str())];
            let ask = wire::Ask { method: "POST", target: "/session", headers: &headers, body: None };
            match self.send(&ask, ANSWER_WITHIN) {
                Ok(answer) if answer.status == 201 => self.session = answer.cookie(COOKIE).map(str::to_owned),
                _ => {
                    self.move_on();
                    std::thread::sleep(PAUSE);
                }
            }
        }
        self.session.is_some()
    }

    /// Sends a lock or a renewal: what it says, and key and token of the hold that it is about.
    fn locked(
        &mut self,
        target: &str,
        body: &Value,
        headers: &[(&str, &str)],
        within: Duration,
    ) -> (Answer, Option<(String, u64)>) {
        let ask = wire::Ask { method: "POST", target, headers, body: Some(body) };
        let answer = match self.send(&ask, within) {
            Ok(answer) => answer,
            Err(silence) => return (unanswered(&silence), None),
        };
        let mut hold = None;
        let judged = self.judge(&answer, |body| {
            if !body["locked"].as_bool()? {
                return Some(Answer::Contended);
            }
            let token = body["fencing_token"].as_u64()?;
            hold = Some((body["key"].as_str()?.to_owned(), token));
            Some(Answer::Granted { token })
        });
        (judged, hold)
    }

    /// An answer in our words: `read` for the bodies of 200, everything else is refused or unknown.
    pub fn judge(&mut self, answer: &Response, read: impl FnOnce(&Value) -> Option<Answer>) -> Answer {
        let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let text = format!("{} {}", answer.status, answer.text());
        match answer.status {
            200 => read(&body).unwrap_or_else(|| {
                self.recorder.complain(format!("an answer that nobody can read: {text}"));
                Answer::Unknown(text)
            }),
            // Only what was not done may be asked for again.
            503 if answer.header("retry-after").is_some() => Answer::Refused(text),
            503 => Answer::Unknown(text),
            410 => Answer::Ended,
            _ => {
                self.recorder.complain(format!("client {} at node {} was answered {text}", self.number, self.node));
                Answer::Unknown(text)
            }
        }
    }

    pub fn send(&mut self, ask: &wire::Ask<'_>, within: Duration) -> Result<Response, Silence> {
        let cookie = self.session.as_ref().map(|session| format!("{COOKIE}={session}"));
        let mut headers = ask.headers.to_vec();
        headers.extend(cookie.as_deref().map(|cookie| ("Cookie", cookie)));
        let sent = wire::Ask { headers: &headers, ..*ask };
        let result = self.wire.send(&sent, within);
        if result.is_err() {
            self.wire.close();
        }
        result
    }

    fn op(&self, id: u64, target: &Target, ask: Ask, call: Nanos) -> Op {
        let (client, node, end) = (self.number, self.node, self.recorder.now());
        let (answer, target) = (Answer::Unknown(String::new()), target.clone());
        Op { id, client, node, target, ask, call, end, answer, lost_for: 0, asked_again: 0 }
    }

    pub fn note(&self, target: &Target, ask: Ask, call: Nanos, answer: Answer) {
        let op = self.op(self.recorder.number(), target, ask, call);
        self.recorder.op(Op { answer, ..op });
    }

    /// A hold goes on with another token.
    pub fn replace(&mut self, hold: &Hold, by: &Hold) {
        self.held.iter_mut().filter(|held| held.token == hold.token).for_each(|held| *held = by.clone());
    }
}

pub fn unanswered(silence: &Silence) -> Answer {
    match silence {
        Silence::NotSent(_) => Answer::Refused(silence.to_string()),
        Silence::Lost(_) => Answer::Unknown(silence.to_string()),
    }
}
