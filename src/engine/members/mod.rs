//! Who belongs to the cluster, how each node is, and changes of the membership.
//!
//! What may not live here: decisions about locks.

mod changes;
mod cluster_members;
mod liveness;
mod node_health;
mod presence;

pub use changes::check_address;
pub use cluster_members::{ClusterMembers, ClusterView, MemberRole, MemberView};
pub use node_health::NodeHealth;
pub use presence::{watch_for_removal, watch_node_state};
