//! Counts of requests by dialect, method and class of status: every counter is looked up once and then only added to.

use std::sync::OnceLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// Who speaks on a path; the order is that of `DIALECTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    SessionsV1,
    GetLock,
    LockUnlock,
    LockByName,
    LdlmGrpc,
    Kufuli,
    LockdGrpc,
    RaftLock,
    /// `/v1/locks`, `/v1/holds`, `/v1/sessions`: reading and force release.
    Inspect,
    /// `/v1/cluster`, `/v1/backup`.
    Operate,
    /// Probes, metrics, documents, the status page and whatever does not exist.
    Other,
}

const DIALECTS: [&str; Spoken::Other as usize + 1] = [
    "sessions_v1",
    "get_lock",
    "lock_unlock",
    "lock_by_name",
    "ldlm_grpc",
    "kufuli",
    "lockd_grpc",
    "raftlock",
    "inspect",
    "operate",
    "other",
];
const METHODS: [&str; 4] = ["GET", "POST", "DELETE", "other"];
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Labels {
    dialect: &'static str,
    method: &'static str,
    status_class: &'static str,
}

/// The family `latchd_http_requests_total`.
#[derive(Debug, Default)]
pub struct Requests {
    pub(super) family: Family<Labels, Counter>,
    /// Filled as combinations occur, so that only those are shown.
    resolved: [[[OnceLock<Counter>; CLASSES.len()]; METHODS.len()]; DIALECTS.len()],
}

impl Requests {
    /// Counts one answered request.
    pub fn count(&self, dialect: Spoken, method: &str, status: u16) {
        let method = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let class = usize::from(status / 100).clamp(2, 5) - 2;
        let resolve = || {
            self.family.get_or_create_owned(&Labels {
                dialect: DIALECTS[dialect as usize],
                method: METHODS[method],
                status_class: CLASSES[class],
            })
        };
        self.resolved[dialect as usize][method][class].get_or_init(resolve).inc();
    }
}

impl Spoken {
    /// Which dialect a path belongs to.
    pub fn on(path: &str) -> Self {
        match path {
            "/v1/lock" | "/v1/unlock" | "/v1/renew" | "/v1/refreshlock" | "/session" => Self::SessionsV1,
            "/getlock" | "/releaselock" | "/status" => Self::GetLock,
            "/lock" | "/unlock" => Self::LockUnlock,
            _ if path.starts_with("/lock/") => Self::LockByName,
            _ if path.starts_with("/ldlm.LDLM/") => Self::LdlmGrpc,
            _ if path.starts_with("/api.Api/") => Self::Kufuli,
            _ if path.starts_with("/lockapi.Locking/") => Self::LockdGrpc,
            _ if path.starts_with("/raftlock.RaftLock/") => Self::RaftLock,
            "/v1/holds" => Self::Inspect,
            _ if path.starts_with("/v1/locks") || path.starts_with("/v1/sessions") => Self::Inspect,
            _ if path.starts_with("/v1/cluster") || path == "/v1/backup" => Self::Operate,
            _ => Self::Other,
        }
    }
}
