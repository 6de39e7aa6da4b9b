//! Which nodes the leader has heard, and when: what it judges a node down by.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Ages of this process at which other nodes were last heard. Only the leader judges by it.
#[derive(Default)]
pub struct Heard {
    nodes: Mutex<Ages>,
}

#[derive(Default)]
struct Ages {
    heard: BTreeMap<u64, Duration>,
    /// When the last judgement was made.
    judged: Option<Duration>,
}

impl Heard {
    pub fn note(&self, node: u64, age: Duration) {
        self.lock().heard.insert(node, age);
    }

    /// A leadership begins: nobody can have been heard, so everybody's silence starts now.
    pub fn forget_all(&self) {
        *self.lock() = Ages::default();
    }

    /// Which of `nodes` have been silent for `silence` or longer.
    ///
    /// A process that was itself stopped for a while has heard nobody and may judge nobody by that: when its last
    /// judgement is older than half of `silence`, all silences start anew.
    pub fn silent(&self, nodes: impl Iterator<Item = u64>, now: Duration, silence: Duration) -> Vec<u64> {
        let mut ages = self.lock();
        let was_stopped = ages.judged.is_some_and(|judged| now.saturating_sub(judged) * 2 > silence);
        ages.judged = Some(now);
        let mut heard = BTreeMap::new();
        for node in nodes {
            let last = ages.heard.get(&node).copied().filter(|_| !was_stopped).unwrap_or(now);
            heard.insert(node, last);
        }
        ages.heard = heard;
        ages.heard.iter().filter(|(_, last)| now.saturating_sub(**last) >= silence).map(|(node, _)| *node).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Ages> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(2);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn silent(heard: &Heard, now: u64) -> Vec<u64> {
        heard.silent([2, 3].into_iter(), at(now), SILENCE)
    }

    #[test]
    fn a_node_is_silent_from_when_it_was_last_heard() {
        let heard = Heard::default();
        assert!(silent(&heard, 10_000).is_empty(), "never heard: its silence starts with the first look");
        for now in (10_500..=12_500).step_by(500) {
            heard.note(2, at(now));
            assert_eq!(silent(&heard, now), if now >= 12_000 { vec![3] } else { vec![] }, "at {now}");
        }
    }

    #[test]
    fn who_was_stopped_judges_nobody_by_it() {
        let heard = Heard::default();
        heard.note(2, at(0));
        heard.note(3, at(0));
        assert!(silent(&heard, 100).is_empty());
        assert!(silent(&heard, 9_000).is_empty(), "it was not looking for nine seconds");
        assert!(silent(&heard, 9_500).is_empty());
        assert_eq!(silent(&heard, 10_400), Vec::<u64>::new());
        assert_eq!(silent(&heard, 11_000), [2, 3]);
    }
}
