//! What an operator asks for, and who that is.

use super::cut;
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;

/// Declares the acts: variant, name, what it does.
macro_rules! actions {
    ($($action:ident = $name:literal, $about:literal;)*) => {
        /// What operators do. The names are in audit files and never change.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Action {
            $(#[doc = $about] $action,)*
        }

        impl Action {
            pub const ALL: &[Action] = &[$(Action::$action),*];

            pub const fn name(self) -> &'static str {
                match self {
                    $(Action::$action => $name,)*
                }
            }

            /// For the documentation.
            pub const fn about(self) -> &'static str {
                match self {
                    $(Action::$action => $about,)*
                }
            }
        }
    };
}

actions! {
    ForceRelease = "force-release", "The hold of another client is ended";
    ForceLease = "force-lease", "The hold of another client gets another lease";
    Resize = "resize", "A counted lock gets another size";
    Freeze = "freeze", "Names are frozen: nothing new is granted under them";
    Thaw = "thaw", "A freeze is ended";
    EndSession = "end-session", "A session of another credential is closed";
    DropWaiter = "drop-waiter", "A waiter of another client leaves the queue";
    Take = "take", "An admin takes a lock by hand in the console";
    GiveBack = "give-back", "An admin gives back a lock that was taken by hand";
    AddMember = "add-member", "A node is added to the cluster, without a vote";
    PromoteMember = "promote-member", "A node gets a vote";
    RemoveMember = "remove-member", "A node is taken out of the cluster";
    Backup = "backup", "A backup is begun: it has every key and session id";
}

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub struct By {
    /// The name of the credential.
    pub who: Arc<str>,
    pub role: &'static str,
    /// The client's address; behind a trusted proxy, the one that it forwards.
    pub from: IpAddr,
}

/// One act, before it is carried out.
#[derive(Clone, Debug)]
pub struct Act {
    pub(super) action: Action,
    pub(super) target: Vec<(&'static str, Value)>,
    pub(super) reason: Option<String>,
}

impl Act {
    pub fn new(action: Action) -> Act {
        Act { action, target: Vec::new(), reason: None }
    }

    /// Adds what it is done to, such as a lock, a token or a node. Never a key or a session id. A long one is cut.
    pub fn on(mut self, what: &'static str, value: impl Into<Value>) -> Act {
        self.target.push((what, cut::value(value.into())));
        self
    }

    /// Why, in the words of whoever asks. Long ones are cut.
    pub fn because(self, reason: impl Into<String>) -> Act {
        Act { reason: Some(cut::text(reason.into())), ..self }
    }
}
