//! What one lock of size one may answer, operation by operation: the sequential model behind linearizability.

use todc_utils::Specification;

/// An operation as the model sees it, its answer included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Granted(u64),
    /// Somebody else had it.
    Contended,
    Released(u64),
    Renewed(u64),
    NotHeld(u64),
    Seen(Option<u64>),
    /// An acquire whose answer is not known: takes the lock if it is free.
    MaybeGranted(u64),
    /// What such an acquire took may be given back at any time: by its cancel, or with its session.
    Undone(u64),
    /// A release whose answer is not known.
    MaybeReleased(u64),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Lock {
    holder: Holder,
    /// The highest token that was seen, which the next must exceed.
    last: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
enum Holder {
    #[default]
    Nobody,
    Token(u64),
    /// The acquire of this number, of whose grant nobody has heard.
    Unheard(u64),
    /// The same, after somebody has read its token.
    Read {
        acquire: u64,
        token: u64,
    },
}

impl Lock {
    fn is_held_by(&self, token: u64) -> bool {
        match self.holder {
            Holder::Nobody | Holder::Unheard(_) => false,
            Holder::Token(held) | Holder::Read { token: held, .. } => held == token,
        }
    }

    fn given_back(&self) -> Self {
        Self { holder: Holder::Nobody, last: self.last }
    }

    fn seen(&self, token: Option<u64>) -> Option<Self> {
        match (&self.holder, token) {
            (Holder::Nobody, None) => Some(self.clone()),
            (Holder::Unheard(acquire), Some(token)) if token > self.last => {
                Some(Self { holder: Holder::Read { acquire: *acquire, token }, last: token })
            }
            (Holder::Token(_) | Holder::Read { .. }, Some(token)) if self.is_held_by(token) => Some(self.clone()),
            _ => None,
        }
    }

    fn undone(&self, number: u64) -> Self {
        match self.holder {
            Holder::Unheard(acquire) | Holder::Read { acquire, .. } if acquire == number => self.given_back(),
            _ => self.clone(),
        }
    }

    /// The lock afterwards, or `None` where this answer cannot come now.
    fn after(&self, step: &Step) -> Option<Self> {
        let free = self.holder == Holder::Nobody;
        let unchanged = |possible: bool| possible.then(|| self.clone());
        match *step {
            Step::Granted(token) => {
                (free && token > self.last).then_some(Self { holder: Holder::Token(token), last: token })
            }
            Step::Contended => unchanged(!free),
            Step::Released(token) => self.is_held_by(token).then(|| self.given_back()),
            Step::Renewed(token) => unchanged(self.is_held_by(token)),
            Step::NotHeld(token) => unchanged(!self.is_held_by(token)),
            Step::Seen(token) => self.seen(token),
            Step::MaybeGranted(number) if free => Some(Self { holder: Holder::Unheard(number), last: self.last }),
            Step::MaybeGranted(_) => unchanged(true),
            Step::Undone(number) => Some(self.undone(number)),
            Step::MaybeReleased(token) if self.is_held_by(token) => Some(self.given_back()),
            Step::MaybeReleased(_) => unchanged(true),
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
