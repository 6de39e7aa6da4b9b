//! How messages call locks and those who hold them.

use super::super::output::{Span, holder};
use crate::client::Holder;

/// Holders that a message names.
const NAMED_MAX: usize = 3;

/// Who they are and since when they hold it.
pub(super) fn described(holders: &[Holder]) -> String {
    let named = |hold: &Holder| format!("{} for {}", holder(hold), Span(hold.held_for_seconds));
    let more = holders.len().saturating_sub(NAMED_MAX);
    let more = (more > 0).then(|| format!("{more} more"));
    holders.iter().take(NAMED_MAX).map(named).chain(more).collect::<Vec<_>>().join("; ")
}

/// Names in a message.
pub(super) fn quoted(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [name] => format!("{name:?}"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("{name:?}")).collect();
            format!("{} and {last:?}", first.join(", "))
        }
    }
}

pub(super) fn were(names: &[String]) -> String {
    format!("{} {}", quoted(names), if names.len() > 1 { "were" } else { "was" })
}
