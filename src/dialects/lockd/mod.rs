//! lockd: a lock by its name in the path, and its gRPC service, two generations of one product.

pub mod grpc;
#[allow(clippy::all, missing_docs)]
pub mod proto;
pub mod rest;

use crate::config::Config;
use crate::domain::time::round_up_ms;
use crate::domain::{Dialect, Name, Proof, Refusal};
use crate::engine::{Engine, Fault};
use crate::http::{AppState, FieldNames};

const NAMES: FieldNames = FieldNames { name: "name", size: "size", lease: "max_hold", wait: "wait" };

#[derive(Clone)]
struct Lockd {
    app: AppState,
    /// The lease of a hold; `None`: it has no end of its own.
    max_hold_ms: Option<u64>,
}

impl Lockd {
    fn new(app: &AppState, config: &Config) -> Lockd {
        Lockd { app: AppState::clone(app), max_hold_ms: config.locks.max_hold().map(round_up_ms) }
    }
}

/// Releases a hold of lockd's clients on this name; `false` if there is none. One of the caller's own generation goes
/// first.
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
