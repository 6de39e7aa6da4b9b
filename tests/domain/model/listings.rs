//! Listings agree with single views: filtered, in order, from any cursor.

use super::script::{NAMES, SESSIONS, steps};
use super::{driver, for_all};
use crate::domain::kit::session;
use latchd::domain::view::LockFilter;
use latchd::domain::{Name, SessionId, Table};
use proptest::prelude::*;

#[test]
fn listings_agree_with_views() {
    let prefixes: [&[&str]; 8] = [&[""], &["a"], &["ab"], &["b"], &["c"], &["ab", "b"], &["a", "b", "c"], &[]];
    let filter = (prop::sample::select(prefixes.to_vec()), any::<Option<bool>>(), any::<Option<bool>>());
    let after = prop::option::of(prop::sample::select(vec!["", "a", "aa", "ab", "b", "z"]));
    for_all((steps(), filter, after), |(script, (prefixes, held, contended), after)| {
        let (_, table) = driver::play(&script, |_| Ok(())).map_err(TestCaseError::fail)?;
        let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        let filter = LockFilter { prefixes, held, contended, ..LockFilter::default() };
        let after = after.map(Name::from);
        let frozen = table.freeze();
        let listed: Vec<String> =
            frozen.locks(&filter, after.as_ref(), table.now()).map(|v| format!("{v:?}")).collect();
        prop_assert_eq!(listed, expected_locks(&table, &filter, after.as_ref()));
        for name in NAMES.map(Name::from) {
            let live = format!("{:?}", table.waiters_view(&name, table.now()));
            prop_assert_eq!(format!("{:?}", frozen.waiters_view(&name, table.now())), live);
        }
        let (all, some) = (frozen.sessions_after(None, 99), frozen.sessions_after(Some(session(1)), 2));
        prop_assert_eq!(ids(&all), live_sessions(&table, 0, 99));
        prop_assert_eq!(ids(&some), live_sessions(&table, 2, 2));
        Ok(())
    });
}

fn expected_locks(table: &Table, filter: &LockFilter, after: Option<&Name>) -> Vec<String> {
    let views = NAMES.map(Name::from).into_iter().filter_map(|name| table.lock_view(&name, table.now()));
    views
        .filter(|view| filter.prefixes.iter().any(|prefix| view.name.starts_with(prefix)))
        .filter(|view| after.is_none_or(|after| view.name > *after))
        .filter(|view| filter.held.is_none_or(|held| held != view.holds.is_empty()))
        .filter(|view| filter.contended.is_none_or(|contended| contended == (view.waiters > 0)))
        .map(|view| format!("{view:?}"))
        .collect()
}

fn ids(sessions: &[latchd::domain::view::SessionView]) -> Vec<SessionId> {
    sessions.iter().map(|view| view.session).collect()
}

fn live_sessions(table: &Table, from: u8, limit: usize) -> Vec<SessionId> {
    let live = (from..SESSIONS).map(session).filter(|id| table.session_view(*id).is_some());
    live.take(limit).collect()
}
