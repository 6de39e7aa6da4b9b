//! Who belongs to the cluster, how each node is, and changes of the membership.
//!
//! What may not live here: decisions about locks.

mod address;
mod changes;
mod cluster_members;
mod liveness;
mod node_health;
mod registration;
mod removal;
mod supervision;
mod view;

pub use address::check_address;
pub use cluster_members::{ClusterMembers, MemberTimeouts};
pub use node_health::{MembershipChange, NodeHealth};
pub use removal::watch_for_removal;
pub use view::{ClusterView, MemberRole, MemberView};
