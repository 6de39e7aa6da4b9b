//! Waiting for a signal that asks this process to end.

use rustix::process::Signal;

use super::group::Group;
use super::signals::{Signals, asks_to_end};
use super::terminal::stop_the_job;

/// The first signal that asks this process to end; one that asks it to stop is followed.
pub(super) async fn end_signal(signals: &mut Signals, group: &mut Group) -> Signal {
    loop {
        match signals.next().await {
            signal if asks_to_end(signal) => return signal,
            Signal::CHILD => group.reap(),
            Signal::TSTP => stop_the_job(),
            _ => {}
        }
    }
}
