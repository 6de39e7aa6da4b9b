//! What the page of locks is asked: which locks, in which order, and from where on.

use crate::access::Identity;
use crate::domain::view::LockFilter;
use crate::domain::{LockOrder, Name, Rank};
use crate::status::asked::{Asked, Href};

pub const PATH: &str = "/";

/// The choices of a form, with their parameter and label.
pub struct Choice<T: 'static>(pub T, pub &'static str, pub &'static str);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Any,
    Held,
    Contended,
    Free,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Contended locks first, and then all by name.
    Usual,
    Name,
    By(LockOrder),
}

pub const STATES: [Choice<State>; 4] = [
    Choice(State::Any, "", "any state"),
    Choice(State::Held, "held", "held"),
    Choice(State::Contended, "contended", "contended"),
    Choice(State::Free, "free", "free at this moment"),
];

pub const ORDERS: [Choice<Order>; 5] = [
    Choice(Order::Usual, "", "contended first"),
    Choice(Order::Name, "name", "name"),
    Choice(Order::By(LockOrder::Oldest), "age", "held for longest"),
    Choice(Order::By(LockOrder::EndingFirst), "end", "ending soonest"),
    Choice(Order::By(LockOrder::MostWaiters), "waiting", "most waiting"),
];

/// The parameters of the page.
#[derive(Clone, Debug)]
pub struct LocksQuery {
    pub prefix: String,
    pub containing: String,
    pub state: State,
    pub order: Order,
    /// The last lock of the page before, and its number in an order that has one.
    pub after: Option<(Name, u64)>,
}

impl LocksQuery {
    pub fn of(asked: Asked<'_>) -> LocksQuery {
        let after = asked.given("after").map(|name| (Name::from(&*name), asked.number("at").unwrap_or_default()));
        LocksQuery {
            prefix: asked.text("prefix"),
            containing: asked.text("has"),
            state: chosen(&STATES, &asked.text("state")),
            order: chosen(&ORDERS, &asked.text("sort")),
            after,
        }
    }

    /// Anything else than all locks.
    pub fn is_search(&self) -> bool {
        !self.prefix.is_empty() || !self.containing.is_empty() || self.state != State::Any
    }

    /// What of it this viewer may see.
    pub fn filter(&self, viewer: &Identity) -> LockFilter {
        LockFilter {
            prefixes: viewer.prefixes_under(&self.prefix),
            held: match self.state {
                State::Held => Some(true),
                State::Free => Some(false),
                State::Any | State::Contended => None,
            },
            contended: (self.state == State::Contended).then_some(true),
            containing: self.containing.clone(),
            elections: false,
        }
    }

    /// The place in an order after which the page begins.
    pub fn rank(&self) -> Option<Rank> {
        self.after.as_ref().map(|(name, number)| Rank { number: *number, name: name.clone() })
    }

    /// The first page.
    pub fn href(&self) -> Href {
        let (state, order) = (parameter(&STATES, self.state), parameter(&ORDERS, self.order));
        let href = Href::to(PATH).with("prefix", &self.prefix).with("has", &self.containing);
        href.with("state", state).with("sort", order)
    }

    /// The page after a lock.
    pub fn next(&self, after: &Name, number: Option<u64>) -> Href {
        let href = self.href().with("after", after);
        number.map_or(href.clone(), |number| href.with("at", number))
    }
}

fn chosen<T: Copy>(choices: &[Choice<T>], asked: &str) -> T {
    let Choice(first, ..) = &choices[0];
    choices.iter().find(|Choice(_, known, _)| *known == asked).map_or(*first, |Choice(choice, ..)| *choice)
}

fn parameter<T: PartialEq>(choices: &[Choice<T>], chosen: T) -> &'static str {
    choices.iter().find(|Choice(choice, ..)| *choice == chosen).map_or("", |Choice(_, known, _)| known)
}
