//! Releasing a lock by its name alone.

use crate::domain::{Dialect, Name, Proof, Refusal};
use crate::engine::{Engine, Fault};

/// Releases what lockd's clients took under this name, of the caller's generation first: over HTTP or over gRPC, it is
/// one product. `false`: they hold nothing.
pub async fn release_by_name(engine: &Engine, name: &str, first: Dialect) -> Result<bool, Fault> {
    let second = if first == Dialect::LockdRest { Dialect::LockdGrpc } else { Dialect::LockdRest };
    for dialect in [first, second] {
        match engine.release(Name::from(name), None, Proof::TakenBy(dialect)).await {
            Ok(_) => return Ok(true),
            Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(false)
}
