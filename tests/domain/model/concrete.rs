//! Makes the commands of a script concrete for the present table.

use super::driver::{Driver, limits, quotas};
use super::script::{Key, Mistake, Shown, Verb, Waiting, Wanted};
use crate::domain::kit::{self, session, store};
use latchd::domain::{
    Acquire, Caller, Command, Covers, Dialect, Force, FreezeHolds, FreezeOrder, HoldKey, NodeId, Proof, SessionForce,
    Terms, Token, Upgrade, Wait,
};
use std::sync::Arc;

impl Driver {
    pub fn command(&mut self, verb: &Verb) -> Command {
        match verb {
            Verb::Open { session: number, idle_ms, request, by } => Command::OpenSession {
                session: session(*number),
                idle_timeout_ms: *idle_ms,
                idempotency_key: request.map(|(id, body)| kit::request(id, body)),
                caller: caller(*by),
            },
            Verb::Close { session: number, forced } => {
                let force = forced.then(|| SessionForce(Box::new(Force::new("ops", "it hangs"))));
                Command::CloseSession { session: session(*number), force }
            }
            Verb::Acquire(wanted) => Command::Acquire(Box::new(self.acquire(wanted))),
            Verb::Release { name, session: caller, proof } => {
                Command::Release { name: (*name).into(), session: caller.map(session), proof: self.proof(name, proof) }
            }
            Verb::Renew { name, session: caller, proof, lease_ms } => Command::Renew {
                name: (*name).into(),
                session: caller.map(session),
                proof: self.proof(name, proof),
                lease_ms: *lease_ms,
            },
            Verb::Cancel { name, key } => Command::Cancel { name: (*name).into(), key: self.key(name, key) },
            Verb::Force { name, key } => {
                let force = Some(Box::new(Force::new("ops", name)));
                Command::ForceRelease { name: (*name).into(), key: self.key(name, key), force }
            }
            Verb::Confirm { name, key } => Command::ConfirmDelivery { name: (*name).into(), key: self.key(name, key) },
            Verb::CancelWait { name, label } => Command::CancelWait { name: (*name).into(), label: (*label).into() },
            verb => self.change(verb),
        }
    }

    fn change(&mut self, verb: &Verb) -> Command {
        match verb {
            Verb::Upgrade { name, session: own, key, attempt, wait, by } => {
                let (key, attempt) = (self.key(name, key), self.new_key(*attempt));
                self.keys.push((vec![(*name).into()], attempt, false));
                let (name, session, wait) = ((*name).into(), own.map(session), wait.map(how_to_wait));
                Command::Upgrade(Box::new(Upgrade { name, session, key, attempt, wait, caller: caller(*by) }))
            }
            Verb::Downgrade { name, session: caller, key } => {
                Command::Downgrade { name: (*name).into(), session: caller.map(session), key: self.key(name, key) }
            }
            Verb::Transfer { name, session: caller, key, to, new_key } => {
                let (key, new_key) = (self.key(name, key), self.new_key(*new_key));
                let known = self.keys.iter().rev().find(|(_, known, _)| *known == key).cloned();
                self.keys.extend(known.map(|(names, _, is_list)| (names, new_key, is_list)));
                Command::Transfer { name: (*name).into(), session: caller.map(session), key, to: session(*to), new_key }
            }
            Verb::Resize { name, size } => Command::Resize { name: (*name).into(), size: *size },
            Verb::SetValue { name, session: caller, key, value } => Command::SetValue {
                name: (*name).into(),
                session: caller.map(session),
                key: self.key(name, key),
                value: (*value).into(),
            },
            Verb::Mark { resource, token, by } => Command::RaiseMark {
                resource: (*resource).into(),
                token: Token(self.table.last_token().0.saturating_add_signed(*token)),
                caller: caller(*by),
            },
            Verb::Freeze { target, is_prefix, breaks, for_ms } => Command::Freeze(Box::new(FreezeOrder {
                target: (*target).into(),
                covers: if *is_prefix { Covers::Prefix } else { Covers::Name },
                holds: if *breaks { FreezeHolds::Break } else { FreezeHolds::Drain },
                for_ms: *for_ms,
                reason: if *for_ms == 7 { "" } else { "why" }.into(),
                by: "me".into(),
            })),
            Verb::Thaw { target } => Command::Thaw { target: (*target).into() },
            verb => self.command_of_leader(verb),
        }
    }

    fn command_of_leader(&mut self, verb: &Verb) -> Command {
        let id = |node: &u8| NodeId(u64::from(*node));
        match verb {
            Verb::Up { node, restarted, store: number, level } => Command::NodeUp {
                node: id(node),
                incarnation: self.run_of(*node, *restarted, false),
                store: store(*number),
                level: *level,
            },
            Verb::Down { node, belated } => {
                Command::NodeDown { node: id(node), incarnation: self.run_of(*node, false, *belated) }
            }
            Verb::Forget { node } => Command::ForgetNode { node: id(node) },
            Verb::Raise { level, limits: tight } => {
                let (limits, quotas) = (tight.map(|tight| Box::new(limits(tight))), tight.map(quotas));
                Command::RaiseLevel { level: *level, limits, quotas }
            }
            verb => unreachable!("{verb:?} is a client's"),
        }
    }

    fn acquire(&mut self, wanted: &Wanted) -> Acquire {
        let terms = wanted.extras.as_ref().map(|extras| {
            let first = (wanted.name.into(), wanted.size);
            let others = extras.others.as_ref().map(|others| others.iter().map(|(name, size)| ((*name).into(), *size)));
            let names = others.map_or_else(Vec::new, |others| std::iter::once(first).chain(others).collect());
            let (weight, lock_delay_ms) = (extras.weight, extras.lock_delay_ms);
            Arc::new(Terms { weight, lock_delay_ms, names, value: extras.value.map(Into::into) })
        });
        let acquire = Acquire {
            name: wanted.name.into(),
            key: self.new_key(wanted.key),
            dialect: Dialect::ALL[usize::from(wanted.dialect)],
            session: wanted.session.map(session),
            label: wanted.label.map(Into::into),
            reentrant: wanted.reentrant,
            size: wanted.size,
            remembers_size: wanted.remembers_size,
            lease_ms: wanted.lease_ms,
            wait: wanted.wait.map(how_to_wait),
            priority: wanted.priority,
            metadata: wanted.metadata.iter().copied().collect(),
            idempotency_key: wanted.request.map(|(id, body)| kit::request(id, body)),
            caller: caller(wanted.by),
            terms,
        };
        let is_list = acquire.terms.as_ref().is_some_and(|terms| !terms.names.is_empty());
        let names = acquire.places().map(|(name, _)| name.clone()).collect();
        self.keys.push((names, acquire.key, is_list));
        acquire
    }

    fn new_key(&self, of_few: Option<u8>) -> HoldKey {
        of_few.map_or(kit::key(100 + self.keys.len() as u64), one_of_few)
    }

    fn key(&self, name: &str, key: &Key) -> HoldKey {
        let of_hold = |nth: u8| {
            let view = self.table.lock_view(&name.into(), self.table.now())?;
            view.holds.get(usize::from(nth) % view.holds.len().max(1)).map(|hold| hold.key)
        };
        let of_acquire = |nth: u8| {
            let own = self.keys.iter().rev().filter(|(names, ..)| names.iter().any(|own| **own == *name));
            own.map(|(_, key, _)| *key).nth(nth.into())
        };
        match key {
            Key::OfHold(nth) => of_hold(*nth).unwrap_or(one_of_few(*nth)),
            Key::OfAcquire(nth) => of_acquire(*nth).unwrap_or(one_of_few(*nth)),
            Key::OneOfFew(number) => one_of_few(*number),
        }
    }

    fn proof(&self, name: &str, shown: &Shown) -> Proof {
        match shown {
            Shown::Key(key) => Proof::Key(self.key(name, key)),
            Shown::OfNames(key, mistake) => self.proof_of_names(name, self.key(name, key), *mistake),
            Shown::TakenBy(dialect) => Proof::TakenBy(Dialect::ALL[usize::from(*dialect)]),
            Shown::Label(label, past) => {
                let view = self.table.lock_view(&name.into(), self.table.now());
                let holds = view.map(|view| view.holds).unwrap_or_default();
                let own =
                    holds.iter().find(|hold| hold.label.as_deref() == Some(*label)).map_or(0, |hold| hold.token.0);
                Proof::Label { label: (*label).into(), token: past.map(|past| Token(own + past)) }
            }
        }
    }

    /// The names in another order. A key of a plain hold is mostly shown alone.
    fn proof_of_names(&self, name: &str, key: HoldKey, mistake: Mistake) -> Proof {
        let known = self.keys.iter().rev().find(|(_, known, _)| *known == key).cloned();
        let (mut names, _, is_list) = known.unwrap_or((vec![name.into()], key, false));
        if !is_list && mistake == Mistake::None {
            return Proof::Key(key);
        }
        names.reverse();
        match mistake {
            Mistake::None => {}
            Mistake::Missing => _ = names.pop(),
            Mistake::Twice => {
                names.pop();
                names.push(names.first().cloned().unwrap_or_else(|| name.into()));
            }
        }
        Proof::OfNames { key, names: names.into() }
    }
}

fn how_to_wait((how, timeout_ms): (Waiting, u64)) -> Wait {
    match how {
        Waiting::Attached => Wait::Attached { timeout_ms },
        Waiting::Detached => Wait::Detached { timeout_ms },
        Waiting::Guarded => Wait::Guarded { timeout_ms },
    }
}

fn caller((credential, address): (u8, u8)) -> Caller {
    kit::caller(credential.into(), address.into())
}

fn one_of_few(number: u8) -> HoldKey {
    kit::key(u64::from(number))
}
