//! What happened, in order, folded into one number: two runs of a seed must come to the same, step by step.

use super::event::{Ending, Event};
use super::network::Millis;

/// FNV-1a, which gives the same value on every platform.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// Moments at which something happened, each with the fold of everything up to it.
#[derive(Default)]
pub struct Trace {
    fold: u64,
    moments: Vec<(Millis, u64)>,
    /// Keeps a text of each event too, to find out what differs.
    words: Option<Vec<String>>,
}

impl Trace {
    pub fn new(in_words: bool) -> Trace {
        Trace { fold: BASIS, moments: Vec::new(), words: in_words.then(Vec::new) }
    }

    /// Something came to the far end of a link.
    pub fn delivered(&mut self, at: Millis, from: u64, to: u64, event: &Event) {
        match event {
            Event::Bytes(pipe, bytes) => self.note(at, "bytes", &[from, to, *pipe, fold(BASIS, bytes)]),
            Event::Ends(pipe, how) => self.note(at, "end", &[from, to, *pipe, u64::from(*how == Ending::Broken)]),
            Event::Refuses(pipe) => self.note(at, "refuse", &[from, to, *pipe]),
            Event::Knock(_) => self.note(at, "knock", &[from, to]),
            Event::Answer(_, answer) => self.note(at, "answer", &[from, to, u64::from(answer.is_ok())]),
        }
    }

    pub fn note(&mut self, at: Millis, what: &str, numbers: &[u64]) {
        self.fold = fold(self.fold, what.as_bytes());
        self.fold = numbers.iter().fold(self.fold, |fold_so_far, number| fold(fold_so_far, &number.to_le_bytes()));
        if let Some(words) = &mut self.words {
            words.push(format!("{at} {what} {numbers:x?}"));
        }
        match self.moments.last_mut() {
            Some((last, so_far)) if *last == at => *so_far = self.fold,
            _ => self.moments.push((at, self.fold)),
        }
    }

    pub fn text(&mut self, at: Millis, what: &str) {
        self.note(at, what, &[]);
    }

    /// The first moment at which two traces differ.
    pub fn parts_from(&self, other: &Trace) -> Option<String> {
        let differs = self.moments.iter().zip(&other.moments).find(|(one, another)| one != another);
        let words = |trace: &Trace, at: usize| trace.words.as_ref().and_then(|words| words.get(at).cloned());
        let count = self.words.as_ref().map_or(0, Vec::len).max(other.words.as_ref().map_or(0, Vec::len));
        let first = (0..count).find(|at| words(self, *at) != words(other, *at));
        let shown = first.map(|at| {
            let before: Vec<String> = (at.saturating_sub(20)..at).filter_map(|at| words(self, at)).collect();
            format!("{}\n{:?}\n{:?}", before.join("\n"), words(self, at), words(other, at))
        });
        match differs {
            Some((one, another)) => Some(format!("{one:?} and {another:?}\n{}", shown.unwrap_or_default())),
            None if self.moments.len() != other.moments.len() => Some("one goes on longer".to_owned()),
            None => None,
        }
    }

    pub fn print(&self) {
        self.words.iter().flatten().for_each(|word| println!("{word}"));
    }

    pub fn len(&self) -> usize {
        self.moments.len()
    }
}

fn fold(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |fold, byte| (fold ^ u64::from(*byte)).wrapping_mul(PRIME))
}
