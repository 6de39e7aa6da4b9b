//! Fencing tokens strictly increase over all grants of all locks.

use super::driver::Played;
use super::for_all_scripts;
use crate::domain::kit::FIRST_TOKEN;
use latchd::domain::{Event, Name, Token};

#[test]
fn every_grant_has_a_higher_token() {
    for_all_scripts(|| {
        let mut last = Token(FIRST_TOKEN - 1);
        move |played| check(&mut last, played)
    });
}

fn check(last: &mut Token, played: &Played) -> Result<(), String> {
    let Ok(applied) = played.applied else { return Ok(()) };
    let given = applied.events.iter().filter_map(|event| match event {
        Event::Granted { token, name, .. } => Some((*token, name)),
        _ => None,
    });
    let mut given: Vec<(Token, &Name)> = given.collect();
    // A hold of several names has one token.
    given.dedup_by(|next, one| next.0 == one.0 && next.1 != one.1);
    let given: Vec<Token> = given.into_iter().map(|(token, _)| token).collect();
    if !given.is_sorted_by(|one, next| one < next) || given.first().is_some_and(|first| first <= last) {
        return Err(format!("after {last:?} came {given:?}"));
    }
    *last = given.last().copied().unwrap_or(*last);
    if played.table.last_token() == *last { Ok(()) } else { Err("the last token is another".into()) }
}
