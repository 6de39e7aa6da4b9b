//! What one lock may answer, operation by operation: the sequential model behind linearizability.

use todc_utils::Specification;

use crate::cluster::target::Mode;

/// An operation as the model sees it, its answer included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Granted(u64, Mode),
    /// Somebody had it. That they could not share it is not asked: a reader is refused behind a writer that waits.
    Contended,
    Released(u64),
    Renewed(u64),
    /// A hold with the first token has this mode now, and the second token.
    Converted(u64, Mode, u64),
    /// It could not be the only one, because others share the lock.
    NotConverted(u64),
    NotHeld(u64),
    /// The tokens, sorted.
    Seen(Vec<u64>),
    /// An acquire whose answer is not known: takes the lock if there is room.
    MaybeGranted(u64, Mode),
    /// What such an acquire took may be given back at any time: by its cancel, or with its session.
    Undone(u64),
    /// A release whose answer is not known.
    MaybeReleased(u64),
    /// A conversion whose answer is not known: takes place if it can.
    MaybeConverted(u64, Mode),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Lock {
    /// In the order of their tokens.
    holders: Vec<Holder>,
    /// The highest token that was seen, which the next must exceed.
    last: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Holder {
    who: Who,
    mode: Mode,
    /// As seen, or what it must exceed while nobody has seen it.
    token: Result<u64, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    /// Its client knows it by this token.
    Token(u64),
    /// The acquire of this number, of whose grant nobody has heard.
    Acquire(u64),
}

impl Lock {
    fn place_of(&self, who: Who) -> Option<usize> {
        self.holders.iter().position(|holder| holder.who == who)
    }

    fn is_held_by(&self, token: u64) -> bool {
        self.place_of(Who::Token(token)).is_some()
    }

    fn without(&self, who: Who) -> Self {
        let mut after = self.clone();
        after.holders.retain(|holder| holder.who != who);
        after
    }

    /// With this holder, if it goes together with the others.
    fn with(&self, who: Who, mode: Mode, token: Result<u64, u64>) -> Option<Self> {
        let mut after = self.clone();
        after.holders.push(Holder { who, mode, token });
        after.last = token.unwrap_or(self.last);
        (after.last >= self.last && Mode::go_together(after.holders.iter().map(|holder| holder.mode))).then_some(after)
    }

    fn granted(&self, token: u64, mode: Mode) -> Option<Self> {
        if token > self.last { self.with(Who::Token(token), mode, Ok(token)) } else { None }
    }

    /// Each hold must be seen. Those that nobody had seen have the tokens that are left, in the order of their grants.
    fn seen(&self, tokens: &[u64]) -> Option<Self> {
        if tokens.len() != self.holders.len() {
            return None;
        }
        let mut after = self.clone();
        for (holder, token) in after.holders.iter_mut().zip(tokens) {
            let is_possible = holder.token.map_or_else(|floor| *token > floor, |known| known == *token);
            if !is_possible {
                return None;
            }
            holder.token = Ok(*token);
            after.last = after.last.max(*token);
        }
        Some(after)
    }

    fn maybe_converted(&self, token: u64, mode: Mode) -> Self {
        let changes = self.holders.iter().any(|holder| holder.who == Who::Token(token) && holder.mode != mode);
        let after = self.without(Who::Token(token)).with(Who::Token(token), mode, Err(self.last));
        after.filter(|_| changes).unwrap_or_else(|| self.clone())
    }

    /// The lock afterwards, or `None` where this answer cannot come now.
    fn after(&self, step: &Step) -> Option<Self> {
        let unchanged = |possible: bool| possible.then(|| self.clone());
        match *step {
            Step::Granted(token, mode) => self.granted(token, mode),
            Step::Contended => unchanged(!self.holders.is_empty()),
            Step::Released(token) => self.is_held_by(token).then(|| self.without(Who::Token(token))),
            Step::Renewed(token) => unchanged(self.is_held_by(token)),
            Step::Converted(old, mode, new) if self.is_held_by(old) => self.without(Who::Token(old)).granted(new, mode),
            Step::Converted(..) => None,
            Step::NotConverted(token) => unchanged(self.is_held_by(token) && self.holders.len() > 1),
            Step::NotHeld(token) => unchanged(!self.is_held_by(token)),
            Step::Seen(ref tokens) => self.seen(tokens),
            Step::MaybeGranted(number, mode) => {
                Some(self.with(Who::Acquire(number), mode, Err(self.last)).unwrap_or_else(|| self.clone()))
            }
            Step::Undone(number) => Some(self.without(Who::Acquire(number))),
            Step::MaybeReleased(token) => Some(self.without(Who::Token(token))),
            Step::MaybeConverted(token, mode) => Some(self.maybe_converted(token, mode)),
        }
    }
}

impl Specification for Lock {
    type State = Lock;
    type Operation = Step;

    fn init() -> Lock {
        Lock::default()
    }

    fn apply(operation: &Step, state: &Lock) -> (bool, Lock) {
        state.after(operation).map_or_else(|| (false, state.clone()), |after| (true, after))
    }
}
