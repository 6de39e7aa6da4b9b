//! Releasing a lock by its name alone.

use crate::domain::{Dialect, Name, Proof, Refusal};
use crate::engine::{Engine, Fault};

/// Releases a hold of lockd's clients on this name, first one of the caller's generation: HTTP and gRPC are one product.
/// `false`: there is none.
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
