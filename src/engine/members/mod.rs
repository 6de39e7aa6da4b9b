//! Who belongs to the cluster, how each node is, and changes of the membership.
//!
//! What may not live here: decisions about locks.

mod changes;
mod cluster_members;
mod liveness;
mod node_health;
mod registration;
mod supervision;
mod view;

pub use changes::check_address;
pub use cluster_members::{ClusterMembers, MemberTimeouts};
pub use node_health::{MembershipChange, NodeHealth};
pub use registration::watch_for_removal;
pub use view::{ClusterView, MemberRole, MemberView};
