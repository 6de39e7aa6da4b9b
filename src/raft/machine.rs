//! The interface of the state machine that the log drives.

use std::io;

/// A state machine: the same entries in the same order give the same state on every node.
pub trait Machine: Send + 'static {
    /// Applies the committed entry at `index`. Called in log order from one task; must not panic.
    fn apply(&mut self, index: u64, payload: &[u8]);

    /// A consistent view, cheap to take; it is encoded later on another thread while `apply` goes on.
    fn freeze(&self) -> Box<dyn Frozen>;

    /// Replaces the state with the one in `snapshot`, which is that after the entry at `index`.
    fn restore(&mut self, index: u64, snapshot: &mut dyn io::Read) -> Result<(), String>;
}

impl Machine for Box<dyn Machine> {
    fn apply(&mut self, index: u64, payload: &[u8]) {
        (**self).apply(index, payload);
    }

    fn freeze(&self) -> Box<dyn Frozen> {
        (**self).freeze()
    }

    fn restore(&mut self, index: u64, snapshot: &mut dyn io::Read) -> Result<(), String> {
        (**self).restore(index, snapshot)
    }
}

/// A state that no longer changes.
pub trait Frozen: Send {
    fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()>;
}
