//! When the leader last heard each node: a node that is silent for too long is declared down.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

/// Ages of this process at which other nodes were last heard. Only the leader uses them.
#[derive(Default)]
pub struct NodeLiveness {
    nodes: Mutex<Ages>,
}

#[derive(Default)]
struct Ages {
    heard: BTreeMap<u64, Duration>,
    /// When silent nodes were last looked for.
    checked: Option<Duration>,
}

impl NodeLiveness {
    pub fn note(&self, node: u64, age: Duration) {
        self.nodes.lock().heard.insert(node, age);
    }

    /// A leadership begins: this node has heard no other yet, so the silence of every node starts now.
    pub fn forget_all(&self) {
        *self.nodes.lock() = Ages::default();
    }

    /// Which of `nodes` have been silent for `silence` or longer.
    ///
    /// A leader that was itself paused has heard no node and must not declare any down for that: when its last check is
    /// older than half of `silence`, all silences start anew.
    pub fn silent(&self, nodes: impl Iterator<Item = u64>, now: Duration, silence: Duration) -> Vec<u64> {
        let mut ages = self.nodes.lock();
        let was_paused = ages.checked.is_some_and(|checked| now.saturating_sub(checked) * 2 > silence);
        ages.checked = Some(now);
        let last = |node| ages.heard.get(&node).copied().filter(|_| !was_paused).unwrap_or(now);
        ages.heard = nodes.map(|node| (node, last(node))).collect();
        ages.heard.iter().filter(|(_, last)| now.saturating_sub(**last) >= silence).map(|(node, _)| *node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(2);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn silent(heard: &NodeLiveness, now: u64) -> Vec<u64> {
        heard.silent([2, 3].into_iter(), at(now), SILENCE)
    }

    #[test]
    fn silence_of_a_node_starts_when_it_was_last_heard() {
        let heard = NodeLiveness::default();
        assert!(silent(&heard, 10_000).is_empty(), "never heard: its silence starts with the first check");
        for now in (10_500..=12_500).step_by(500) {
            heard.note(2, at(now));
            assert_eq!(silent(&heard, now), if now >= 12_000 { vec![3] } else { vec![] }, "at {now}");
        }
    }

    #[test]
    fn paused_leader_declares_no_node_down() {
        let heard = NodeLiveness::default();
        heard.note(2, at(0));
        heard.note(3, at(0));
        assert!(silent(&heard, 100).is_empty());
        assert!(silent(&heard, 9_000).is_empty(), "it did not check for nine seconds");
        assert!(silent(&heard, 9_500).is_empty());
        assert_eq!(silent(&heard, 10_400), Vec::<u64>::new());
        assert_eq!(silent(&heard, 11_000), [2, 3]);
    }
}
