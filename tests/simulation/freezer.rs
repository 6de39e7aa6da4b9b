//! An operator of a simulated run, who freezes the names of short leases for a while, and thaws some of them.

use std::time::Duration;

use latchd::domain::{Covers, FreezeHolds, FreezeOrder, Name};
use latchd::engine::{EngineError, Fault};
use tokio::time::sleep;

use super::client::{Client, certain_ms};
use super::endpoints::NoAnswer;
use super::frozen::Frozen;
use crate::cluster::tries::ANSWER_WITHIN;

const NANOS_PER_MS: u64 = 1_000_000;
const BETWEEN_MS: usize = 1500;
const FROZEN_MS: usize = 1200;
/// They overlap. One whose answer was lost is not used again: it may be frozen or thawed at any time.
const TARGETS: [(&str, Covers); 8] = [
    ("lease-0", Covers::Name),
    ("lease-1", Covers::Name),
    ("lease-2", Covers::Name),
    ("lease-3", Covers::Name),
    ("lease-", Covers::Prefix),
    ("lease", Covers::Prefix),
    ("leas", Covers::Prefix),
    ("lea", Covers::Prefix),
];

/// Freezes again and again until the call log is closed.
pub async fn freezes(mut operator: Client) {
    let mut targets = TARGETS.to_vec();
    while !operator.call_log.is_over() && !targets.is_empty() {
        sleep(Duration::from_millis(operator.random.below(BETWEEN_MS) as u64)).await;
        let at = operator.random.below(targets.len());
        let (target, covers) = targets[at];
        if !freeze(&mut operator, target, covers).await {
            targets.swap_remove(at);
        }
        operator.move_on();
    }
}

/// Freezes a target until its end, or thaws it before. False if it is not known what became of it.
async fn freeze(operator: &mut Client, target: &'static str, covers: Covers) -> bool {
    let for_ms = 200 + operator.random.below(FROZEN_MS) as u64;
    let order = FreezeOrder {
        target: Name::from(target),
        covers,
        holds: FreezeHolds::Drain,
        for_ms,
        reason: "a release".into(),
        by: "ops".into(),
    };
    let call = operator.call_log.now();
    let frozen = operator.ask(ANSWER_WITHIN, async move |engine| (engine.freeze(order).await, None)).await;
    if !matches!(frozen, Ok(Ok(_))) {
        return is_known(&frozen);
    }
    let from = operator.call_log.now();
    let end = call + certain_ms(for_ms) * NANOS_PER_MS;
    let thaws = operator.random.below(2) == 0;
    let lasts_ms = if thaws { operator.random.below(for_ms as usize) as u64 } else { for_ms };
    sleep(Duration::from_millis(lasts_ms)).await;
    let until = end.min(operator.call_log.now());
    operator.call_log.is_frozen(Frozen { target, covers, from, until });
    if !thaws {
        return true;
    }
    let target = Name::from(target);
    let thawed = operator.ask(ANSWER_WITHIN, async move |engine| (engine.thaw(target).await, None)).await;
    is_known(&thawed)
}

fn is_known<T>(answer: &Result<Result<T, Fault>, NoAnswer>) -> bool {
    match answer {
        Ok(Err(Fault::Engine(EngineError::OutcomeUnknown | EngineError::ShuttingDown | EngineError::Removed(_))))
        | Err(NoAnswer::Lost) => false,
        Ok(_) | Err(NoAnswer::NotSent) => true,
    }
}
