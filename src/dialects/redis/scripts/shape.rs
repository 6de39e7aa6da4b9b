//! What the scripts of lock libraries do. The value that proves a hold is their first argument.

/// What a script returns in one case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Returns {
    Number(i64),
    Ok,
    Nil,
    /// An error, which the client takes for "not mine".
    Failure,
}

/// The unit of a time to live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    Milliseconds,
    Seconds,
}

/// A script that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Script {
    pub shape: Shape,
    /// Arguments before those of the shape: the number of a database.
    pub skipped: usize,
}

/// What it returns when the value of the key is its own, when there is no key, and when the value is another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cases {
    pub equal: Returns,
    pub absent: Returns,
    pub different: Returns,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Deletes the key if its value is equal.
    Release(Cases),
    /// Sets the time to live, in the second argument, if the value is equal.
    Renew(Unit, Cases),
    /// Adds the second argument to the time to live if the third is "0", or sets it.
    Extend,
    /// The time to live if the value is equal.
    Remaining(Unit, Cases),
    /// Value and time to live of any key.
    ValueAndRemaining,
    /// Takes the key, or renews it if its value is equal: by the time to live in the second argument.
    Obtain(Cases),
    /// The same if the third argument is "yes"; otherwise it only renews.
    ObtainIfAsked,
    /// The same by the time to live in the third argument. The second is the length of the part of the value that counts.
    ObtainByPart,
    /// Takes all keys, or none.
    TakeAll,
    /// Renews all keys if the value of each is equal.
    RenewAll(Cases),
    /// Deletes each key whose value is equal; how many.
    ReleaseEach,
    /// Deletes all keys if the value of each is equal.
    ReleaseAll(Cases),
    /// The time to live of the last key if the value of each is equal.
    RemainingAll,
}

impl Shape {
    /// Whether it takes nothing and asks nothing, so that no rate counts it.
    pub const fn keeps_or_ends(self) -> bool {
        use Shape::{Extend, Release, ReleaseAll, ReleaseEach, Renew, RenewAll};
        matches!(self, Release(_) | ReleaseEach | ReleaseAll(_) | Renew(..) | RenewAll(_) | Extend)
    }
}

impl Cases {
    pub const fn new(equal: Returns, absent: Returns, different: Returns) -> Cases {
        Cases { equal, absent, different }
    }

    /// 1 if the value is equal, and otherwise 0.
    pub const ONE: Cases = Cases::new(Returns::Number(1), Returns::Number(0), Returns::Number(0));
    /// OK or nil.
    pub const OK: Cases = Cases::new(Returns::Ok, Returns::Nil, Returns::Nil);
    /// 1 or nil, which is how true and false arrive.
    pub const TRUE: Cases = Cases::new(Returns::Number(1), Returns::Nil, Returns::Nil);
}
