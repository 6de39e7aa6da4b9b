//! Every name with a lease that outlives the run behaves like one lock: there is an order of its operations, each at
//! some moment between its call and its answer, in which a single lock would have given the same answers.
//!
//! The search is todc-utils'. What is not known stays open until the end of the history. A request for several names is an
//! operation on each of them by itself, and what nobody holds may be refused because such a request waits for it: in names
//! that are asked for together a refusal proves nothing. That a set is never held in part is for the other checkers.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use todc_utils::linearizability::WGLChecker;
use todc_utils::{Action, linearizability::history::History as Actions};

use super::LINEARIZABLE;
use super::kit::show;
use super::lock_model::{Lock, Step};
use crate::cluster::history::{Answer, Ask, History, Nanos, Op};
use crate::cluster::target::Mode;

/// More operations of one name may take the search beyond any time.
pub const OPERATIONS_PER_NAME: usize = 200;
/// A name without a verdict by then is a complaint.
const PATIENCE: Duration = Duration::from_secs(120);

/// Never known to have ended.
const OPEN: Nanos = Nanos::MAX;

pub fn check(history: &History) -> Vec<String> {
    let mut names: BTreeMap<&str, Vec<&Op>> = BTreeMap::new();
    for op in &history.ops {
        for (name, _) in op.target.places().filter(|(name, _)| name.starts_with(LINEARIZABLE)) {
            names.entry(name).or_default().push(op);
        }
    }
    let (verdict, verdicts) = mpsc::channel();
    let mut waiting = BTreeMap::new();
    let mut complaints = Vec::new();
    for (name, ops) in names {
        if ops.len() > OPERATIONS_PER_NAME {
            complaints.push(format!("{name} has {} operations, at most {OPERATIONS_PER_NAME} are checked", ops.len()));
            continue;
        }
        let actions = actions(name, &ops);
        if actions.is_empty() {
            continue;
        }
        let (verdict, key) = (verdict.clone(), name.to_owned());
        std::thread::spawn(move || {
            let linearizable = WGLChecker::<Lock>::is_linearizable(Actions::from_actions(actions));
            // The receiver is gone only when its patience was at an end.
            let _ = verdict.send((key, linearizable));
        });
        waiting.insert(name.to_owned(), ops);
        complaints.extend(hear(&verdicts, &mut waiting, MAX_AT_ONCE));
    }
    complaints.extend(hear(&verdicts, &mut waiting, 1));
    complaints
}

/// How many searches run at once.
const MAX_AT_ONCE: usize = 4;

/// Waits until fewer than `limit` names have no verdict.
fn hear(
    verdicts: &mpsc::Receiver<(String, bool)>,
    waiting: &mut BTreeMap<String, Vec<&Op>>,
    limit: usize,
) -> Vec<String> {
    let mut complaints = Vec::new();
    while waiting.len() >= limit {
        match verdicts.recv_timeout(PATIENCE) {
            Ok((name, linearizable)) => {
                let ops = waiting.remove(&name).expect("each name is judged once");
                if !linearizable {
                    let shown: Vec<String> = ops.iter().map(|op| show(op)).collect();
                    complaints.push(format!("{name} does not behave like one lock:\n  {}", shown.join("\n  ")));
                }
            }
            Err(_) => {
                let names: Vec<String> = std::mem::take(waiting).into_keys().collect();
                complaints.push(format!("no verdict on {} within {PATIENCE:?}", names.join(", ")));
            }
        }
    }
    complaints
}

/// Calls and answers in the order of time; at the same moment calls come first.
fn actions(name: &str, ops: &[&Op]) -> Vec<(usize, Action<Step>)> {
    let mut events: Vec<(Nanos, bool, usize, Step)> = Vec::new();
    let mut process = 0;
    let is_in_sets = ops.iter().any(|op| op.target.is_of_several());
    for op in ops {
        let mode = op.target.mode_of(name).expect("an operation of this name");
        for (step, end) in steps(op, mode) {
            if is_in_sets && step == Step::Contended {
                continue;
            }
            events.push((op.call, false, process, step.clone()));
            events.push((end, true, process, step));
            process += 1;
        }
    }
    events.sort_by_key(|event| (event.0, event.1, event.2));
    let action = |is_answer: bool, step| if is_answer { Action::Response(step) } else { Action::Call(step) };
    events.into_iter().map(|(_, is_answer, process, step)| (process, action(is_answer, step))).collect()
}

/// What an operation may have done, and by when. Nothing for what was refused.
fn steps(op: &Op, mode: Mode) -> Vec<(Step, Nanos)> {
    match (&op.ask, &op.answer) {
        (_, Answer::Refused(_)) | (Ask::Read | Ask::Renew { .. }, Answer::Unknown(_)) => Vec::new(),
        (Ask::Acquire { .. }, _) => steps_of_acquire(op, mode),
        (Ask::Release { token }, Answer::Released) => vec![(Step::Released(*token), op.end)],
        (Ask::Release { token }, Answer::Unknown(_)) => vec![(Step::MaybeReleased(*token), OPEN)],
        (Ask::Renew { token, .. }, Answer::Renewed) => vec![(Step::Renewed(*token), op.end)],
        (Ask::Convert { token, to, .. }, Answer::Converted { token: new }) => {
            vec![(Step::Converted(*token, *to, *new), op.end)]
        }
        (Ask::Convert { token, .. }, Answer::Contended) => vec![(Step::NotConverted(*token), op.end)],
        (Ask::Convert { token, to, .. }, Answer::Unknown(_)) => vec![(Step::MaybeConverted(*token, *to), OPEN)],
        (Ask::Release { token } | Ask::Renew { token, .. } | Ask::Convert { token, .. }, _) => {
            vec![(Step::NotHeld(*token), op.end)]
        }
        (Ask::Read, Answer::Seen { token, others, .. }) => {
            let mut tokens: Vec<u64> = token.iter().chain(others).copied().collect();
            tokens.sort_unstable();
            vec![(Step::Seen(tokens), op.end)]
        }
        (Ask::Read, answer) => unreachable!("a read is not answered {answer:?}"),
    }
}

fn steps_of_acquire(op: &Op, mode: Mode) -> Vec<(Step, Nanos)> {
    // Asked again under its key, because a node was lost: what that node was granted for it nobody has heard of, and it
    // is taken back, by the time the retry has a grant of its own.
    let unheard = |until: Nanos| [(Step::MaybeGranted(op.id, mode), until), (Step::Undone(op.id), until)];
    let before = |until: Nanos| unheard(until).into_iter().filter(|_| op.asked_again > 0);
    match &op.answer {
        Answer::Granted { token } => before(op.end).chain([(Step::Granted(*token, mode), op.end)]).collect(),
        Answer::Unknown(_) | Answer::Ended => unheard(OPEN).to_vec(),
        _ => before(OPEN).chain([(Step::Contended, op.end)]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::kit::Script;
    use super::check;
    use crate::cluster::history::{Answer, Ask};
    use crate::cluster::target::{Mode, Target};

    const NAME: &str = "lin-a";

    #[test]
    fn correct_history_with_open_operations_passes() {
        let fine = Script::default()
            .grant(NAME, (0, 10), 5)
            .contended(NAME, (20, 30))
            .read(NAME, (25, 28), Some(5))
            .release(NAME, (40, 60), 5)
            .grant(NAME, (41, 59), 6)
            .lost_release(NAME, (70, 80), 6)
            .lost_acquire(NAME, (90, 95))
            .read(NAME, (100, 110), Some(7))
            .read(NAME, (120, 130), None)
            .grant(NAME, (140, 150), 8);
        assert_eq!(check(&fine.0), Vec::<String>::new());
    }

    #[test]
    fn double_hold_stale_read_lost_grant_and_falling_token_are_found() {
        let start = || Script::default().grant(NAME, (0, 10), 5);
        let two_holders = start().grant(NAME, (20, 30), 6);
        let stale_read = start().release(NAME, (20, 30), 5).read(NAME, (40, 50), Some(5));
        let lost_grant = start().read(NAME, (20, 30), None);
        let lost_release = start().release(NAME, (20, 30), 5).contended(NAME, (40, 50));
        let token_falls = start().release(NAME, (20, 30), 5).grant(NAME, (40, 50), 4);
        let released_twice = start().release(NAME, (20, 30), 5).release(NAME, (40, 50), 5);
        for broken in [two_holders, stale_read, lost_grant, lost_release, token_falls, released_twice] {
            let complaints = check(&broken.0);
            assert_eq!(complaints.len(), 1, "{:?}", broken.0);
        }
    }

    #[test]
    fn unanswered_acquire_explains_one_hold_only() {
        let once = Script::default().lost_acquire(NAME, (0, 10)).read(NAME, (20, 30), Some(3));
        assert_eq!(check(&once.0), Vec::<String>::new());
        let twice = Script::default()
            .lost_acquire(NAME, (0, 10))
            .read(NAME, (20, 30), Some(3))
            .read(NAME, (40, 50), None)
            .read(NAME, (60, 70), Some(4));
        assert_eq!(check(&twice.0).len(), 1);
    }

    #[test]
    fn retried_acquire_explains_one_earlier_hold() {
        let mut script =
            Script::default().grant(NAME, (0, 100), 7).read(NAME, (20, 30), Some(5)).read(NAME, (40, 50), None);
        assert_eq!(check(&script.0).len(), 1, "nobody can have had token 5");
        script.0.ops[0].asked_again = 35;
        assert_eq!(check(&script.0), Vec::<String>::new());
        let twice = script.read(NAME, (60, 70), Some(6)).read(NAME, (80, 90), None);
        assert_eq!(check(&twice.0).len(), 1);
    }

    #[test]
    fn too_many_operations_are_reported_without_search() {
        let long = (0..101).fold(Script::default(), |script, at| {
            script.grant(NAME, (at * 10, at * 10 + 1), at + 1).release(NAME, (at * 10 + 2, at * 10 + 3), at + 1)
        });
        assert!(check(&long.0)[0].contains("202 operations"));
    }

    #[test]
    fn readers_share_and_a_conversion_needs_the_others_gone() {
        let readers =
            || Script::default().share(NAME, (0, 10), 1).share(NAME, (20, 30), 2).see(NAME, (40, 50), &[1, 2]);
        let upgraded = readers().release(NAME, (60, 70), 1).convert(NAME, (55, 80), (2, 3), Mode::Exclusive);
        let downgraded = upgraded.see(NAME, (85, 88), &[3]).convert(NAME, (90, 95), (3, 4), Mode::Shared);
        let fine = downgraded.share(NAME, (100, 110), 5).contended(NAME, (120, 130)).see(NAME, (140, 150), &[4, 5]);
        assert_eq!(check(&fine.0), Vec::<String>::new());
        let beside_readers = readers().grant(NAME, (60, 70), 3);
        let upgraded_beside_reader = readers().convert(NAME, (60, 70), (2, 3), Mode::Exclusive);
        let reader_forgotten = readers().see(NAME, (60, 70), &[2]);
        let old_token = readers().convert(NAME, (60, 70), (2, 3), Mode::Shared).release(NAME, (80, 90), 2);
        let wait = Ask::Convert { token: 1, to: Mode::Exclusive, wait_ms: None };
        let refused_alone = Script::default().share(NAME, (0, 10), 1).op(NAME, wait, (20, 30), Answer::Contended);
        for broken in [beside_readers, upgraded_beside_reader, reader_forgotten, old_token, refused_alone] {
            assert_eq!(check(&broken.0).len(), 1, "{:?}", broken.0);
        }
    }

    #[test]
    fn unanswered_conversion_explains_one_change_of_the_token() {
        let lost = || {
            let ask = Ask::Convert { token: 1, to: Mode::Exclusive, wait_ms: None };
            let held = Script::default().share(NAME, (0, 10), 1);
            held.op(NAME, ask, (20, 30), Answer::Unknown("cut".to_owned())).see(NAME, (40, 50), &[2])
        };
        assert_eq!(check(&lost().lost_release(NAME, (60, 70), 1).grant(NAME, (65, 80), 3).0), Vec::<String>::new());
        assert_eq!(check(&lost().see(NAME, (60, 70), &[3]).0).len(), 1);
        assert_eq!(check(&lost().share(NAME, (60, 70), 3).0).len(), 1, "it is exclusive");
    }

    #[test]
    fn refusal_is_evidence_unless_the_name_is_asked_for_with_others() {
        let set = || Target::several([NAME, "lin-b"].map(|name| (name.to_owned(), Mode::Exclusive)));
        let alone = Script::default().contended(NAME, (0, 10));
        assert_eq!(check(&alone.0).len(), 1);
        let in_sets =
            || Script::default().contended(NAME, (0, 10)).grant(set(), (20, 30), 1).release(set(), (40, 50), 1);
        assert_eq!(check(&in_sets().0), Vec::<String>::new());
        assert_eq!(check(&in_sets().see("lin-b", (60, 70), &[1]).0).len(), 1);
        assert_eq!(check(&in_sets().grant("lin-b", (35, 38), 2).0).len(), 1);
    }

    #[test]
    fn unheard_readers_have_tokens_in_the_order_of_their_grants() {
        let reader = || Target::new(NAME, Mode::Shared);
        let two = || Script::default().lost_acquire(reader(), (0, 10)).lost_acquire(reader(), (0, 10));
        let seen = two().see(NAME, (20, 30), &[3]).share(NAME, (40, 50), 5).see(NAME, (60, 70), &[3, 4, 5]);
        assert_eq!(check(&seen.0), Vec::<String>::new());
        assert_eq!(check(&two().see(NAME, (20, 30), &[3, 4, 5]).0).len(), 1);
    }
}
