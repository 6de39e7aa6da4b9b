//! Fencing tokens strictly increase over all grants ever, whatever the lock.

use super::driver::Played;
use super::for_all_scripts;
use crate::domain::kit::FIRST_TOKEN;
use latchd::domain::{Event, Outcome, Token};

#[test]
fn every_grant_has_a_token_above_all_before_it() {
    for_all_scripts(|| {
        let mut last = Token(FIRST_TOKEN - 1);
        move |played| check(&mut last, played)
    });
}

fn check(last: &mut Token, played: &Played) -> Result<(), String> {
    let Ok(applied) = played.applied else { return Ok(()) };
    let answered = applied.outcomes.iter().filter_map(|(_, outcome)| match outcome {
        Outcome::Acquired(grant) => Some(grant.token),
        _ => None,
    });
    let told = applied.events.iter().filter_map(|event| match event {
        Event::WaiterGranted { grant, .. } | Event::DetachedGranted { grant, .. } => Some(grant.token),
        _ => None,
    });
    let (answered, told): (Vec<_>, Vec<_>) = (answered.collect(), told.collect());
    let mut all = [answered.clone(), told.clone()].concat();
    all.sort();
    // Answers and events are two lists of one entry: each rises, and together they repeat nothing.
    let rising = [&answered, &told, &all].iter().all(|tokens| tokens.is_sorted_by(|one, next| one < next));
    if !rising || all.first().is_some_and(|first| first <= last) {
        return Err(format!("after {last:?} came answers {answered:?} and events {told:?}"));
    }
    *last = all.last().copied().unwrap_or(*last);
    if played.table.last_token() == *last { Ok(()) } else { Err("the last token is another".into()) }
}
