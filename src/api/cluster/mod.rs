//! Operating the service: who belongs to the cluster, changes of that, and the backup.
//!
//! Ours alone, so every error is a problem document. What changes members or shows the whole state needs an admin who
//! is limited to no names, and is written to the log with that admin's name.

mod answers;
mod backup;
mod members;

pub use answers::{Cluster, Member};
pub use backup::backup;
pub use members::{AddMemberRequest, add_member, promote_member, remove_member, show_cluster};

use crate::access::Identity;
use crate::engine::Fault;
use crate::http::auth::identify;
use crate::http::code::FieldNames;
use crate::http::failure::Failure;
use crate::http::service::{Attempt, Shared};
use axum::http::request::Parts;

const NAMES: FieldNames = FieldNames { name: "name", size: "size", lease: "lease", wait: "wait" };

fn from_fault(fault: Fault) -> Failure {
    Failure::from_fault(&fault, &NAMES)
}

/// The caller, who must be an admin of every name.
async fn operator(service: &Shared, head: &Parts, right: &'static str) -> Attempt<Identity> {
    let actor = identify(service, head).await?;
    if actor.is_admin() && actor.sees_every_name() { Ok(actor) } else { Err(Failure::forbidden(right, None)) }
}
