//! GetStatus and Health: the truth about this node.

use super::answer::{Calendar, span};
use super::state::Call;
use crate::dialects::raftlock::proto::health_status::ServingStatus;
use crate::dialects::raftlock::proto::{
    GetStatusRequest, GetStatusResponse, HealthRequest, HealthResponse, HealthStatus, LockManagerStats, PeerState,
    RaftStatus,
};
use crate::domain::view::{Counts, LockFilter};
use crate::engine::{ClusterView, MemberRole, Overview};
use crate::http::grpc::unary::Reply;
use std::collections::BTreeMap;
use tonic::Status;

/// Contested locks that are counted one by one.
const CONTESTED_MAX: usize = 10_000;

pub async fn status(call: &Call<'_>, asked: GetStatusRequest) -> Result<Reply<GetStatusResponse>, Status> {
    let cluster = call.app.engine.cluster().await;
    let overview = visible_overview(call);
    let health = health_status(call, &cluster, &overview);
    let lock_stats = Some(lock_stats(call, &overview).await);
    let raft_status = Some(raft_status(&cluster, &overview, asked.include_replication_details));
    Ok(GetStatusResponse { raft_status, lock_stats, health: Some(health) }.into())
}

pub async fn health(call: &Call<'_>, _asked: HealthRequest) -> Result<Reply<HealthResponse>, Status> {
    let cluster = call.app.engine.cluster().await;
    let health = health_status(call, &cluster, &visible_overview(call));
    let message = match health.status() {
        ServingStatus::Serving => "Server is healthy and ready to serve requests.",
        ServingStatus::Unknown | ServingStatus::NotServing => {
            "Server is unhealthy or not currently serving requests. Check HealthInfo for details."
        }
    };
    Ok(HealthResponse { status: health.status, message: message.to_owned(), health_info: Some(health) }.into())
}

/// A credential that sees only a part of the names gets 0 for the counts of the whole service.
fn visible_overview(call: &Call<'_>) -> Overview {
    let overview = call.app.engine.overview();
    let counts = if call.identity.sees_every_name() { overview.counts } else { Counts::default() };
    Overview { counts, ..overview }
}

fn health_status(call: &Call<'_>, cluster: &ClusterView, overview: &Overview) -> HealthStatus {
    let ready = call.app.engine.is_ready();
    let (status, message) = match ready {
        true => (ServingStatus::Serving, "Server is healthy"),
        false => (ServingStatus::NotServing, "Server is unhealthy"),
    };
    let leader = cluster.members.iter().find(|member| Some(member.node) == cluster.leader);
    let calendar = Calendar::of(call.app);
    HealthStatus {
        status: status.into(),
        message: message.to_owned(),
        is_raft_leader: cluster.leader == Some(cluster.node),
        raft_leader_address: leader.map(|leader| leader.address.clone()).unwrap_or_default(),
        raft_term: cluster.term,
        raft_last_applied: cluster.applied_index,
        current_active_locks: count(overview.counts.holds),
        current_total_waiters: count(overview.counts.waiters),
        uptime: Some(span(overview.uptime)),
        last_health_check_at: Some(calendar.moment(call.app.engine.now())),
    }
}

fn raft_status(cluster: &ClusterView, overview: &Overview, details: bool) -> RaftStatus {
    let this = cluster.members.iter().find(|member| member.node == cluster.node);
    RaftStatus {
        node_id: cluster.node.to_string(),
        role: this.map_or("", |this| role(this.role)).to_owned(),
        term: cluster.term,
        leader_id: cluster.leader.map(|leader| leader.to_string()).unwrap_or_default(),
        last_log_index: overview.log.last_log_index,
        // The applied index is a lower bound of the commit index, which this node does not know.
        commit_index: overview.log.applied_index,
        last_applied: overview.log.applied_index,
        snapshot_index: overview.log.snapshot_index,
        replication: if details { replication(cluster, overview) } else { BTreeMap::new() },
        ..RaftStatus::default()
    }
}

fn role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Leader => "Leader",
        MemberRole::Follower => "Follower",
        MemberRole::Learner => "Learner",
    }
}

/// Only the leader knows how far the others are.
fn replication(cluster: &ClusterView, overview: &Overview) -> BTreeMap<String, PeerState> {
    let others = cluster.members.iter().filter(|member| member.node != cluster.node);
    let known = others.filter_map(|member| {
        let lag = member.lag_entries?;
        let match_index = overview.log.last_log_index.saturating_sub(lag);
        let state = PeerState {
            next_index: match_index + 1,
            match_index,
            is_active: member.up,
            last_active_at: None,
            snapshot_in_progress: false,
            replication_lag: lag,
        };
        Some((member.node.to_string(), state))
    });
    known.collect()
}

async fn lock_stats(call: &Call<'_>, overview: &Overview) -> LockManagerStats {
    if !call.identity.sees_every_name() {
        return LockManagerStats::default();
    }
    let rates = *call.state.rates.borrow();
    let filter = LockFilter { contended: Some(true), ..LockFilter::default() };
    // Without a leader this is unknown, and the rest of the status is still useful.
    let contested = call.app.engine.locks(filter, None, CONTESTED_MAX).await.map_or(0, |page| page.locks.len());
    LockManagerStats {
        active_locks_count: count(overview.counts.holds),
        total_waiters_count: count(overview.counts.waiters),
        contested_locks_count: count(contested as u64),
        average_hold_duration: rates.average_hold.map(span),
        acquisition_rate_per_second: rates.acquisitions_per_second,
        release_rate_per_second: rates.releases_per_second,
        expired_locks_last_period: count(rates.expired),
    }
}

fn count(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
