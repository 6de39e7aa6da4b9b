//! What waits to become the next log entry: commands, cancels, and sessions that were seen ("touches").
//!
//! Bounded: own commands, and those of other nodes, each by `storage.queue_commands_max`; what own commands would add to
//! the table, by the room in it; the commands of other nodes also by their bytes; cancels by the acquires that were let
//! in; touches by the number of sessions; the leader's own commands by the number of nodes.

mod answer_sender;
mod queue;
mod waiting;

pub use answer_sender::{Answer, AnswerReceiver, AnswerSender, Answered, EntryTimes, Traced};
pub use queue::CommandQueue;
pub use waiting::{Batch, BatchBounds, Queued};
