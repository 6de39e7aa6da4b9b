//! The engine's own numbers, shown as metrics.

use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::engine::{ClusterView, Overview};
use crate::telemetry::Metrics;
use crate::telemetry::gauges::NodeLabels;

/// Sets what is read from the engine, just before it is shown.
pub fn refresh(metrics: &Metrics, overview: &Overview, cluster: &ClusterView) {
    let (shown, stats, counts, log) = (&metrics.engine, &overview.stats, &overview.counts, &overview.log);
    let counters: [(&Counter, u64); 21] = [
        (&shown.log_entries, stats.entries),
        (&shown.commands, stats.commands),
        (&shown.elections, stats.elections),
        (&shown.forwarded_commands, stats.forwarded),
        (&shown.grants, stats.grants),
        (&shown.waits, stats.waits),
        (&shown.refusals, stats.refusals),
        (&shown.wait_timeouts, stats.wait_timeouts),
        (&shown.renewals, stats.renewals),
        (&shown.releases, stats.releases),
        (&shown.expirations, stats.expirations),
        (&shown.forced_releases, stats.forced_releases),
        (&shown.session_releases, stats.session_releases),
        (&shown.undelivered_grants, stats.undelivered_grants),
        (&shown.sessions_opened, stats.sessions_opened),
        (&shown.sessions_closed, stats.sessions_closed),
        (&shown.sessions_idled_out, stats.sessions_idled_out),
        (&shown.broken_invariants, stats.broken_invariants),
        (&shown.table_full_refusals, stats.table_full),
        (&shown.pool_full_refusals, stats.pools_full),
        (&shown.share_full_refusals, stats.shares_full),
    ];
    // The engine's counters only rise, so storing one keeps what a counter promises.
    counters.iter().for_each(|(counter, value)| counter.inner().store(*value, Relaxed));
    let gauges: [(&Gauge, u64); 15] = [
        (&shown.locks_held, counts.locks),
        (&shown.holds, counts.holds),
        (&shown.waiters, counts.waiters),
        (&shown.sessions, counts.sessions),
        (&shown.leader, overview.leader.into()),
        (&shown.term, overview.term),
        (&shown.log_applied_index, log.applied_index),
        (&shown.log_snapshot_index, log.snapshot_index),
        (&shown.log_bytes, log.log_bytes),
        (&shown.disk_nearly_full, overview.disk_nearly_full.into()),
        (&shown.disk_reserve_bytes, overview.disk_reserve_bytes),
        (&shown.log_flush_stalled_seconds, overview.flush_stalled.as_secs()),
        (&shown.event_readers, overview.event_readers),
        (&shown.table_bytes, overview.table_bytes),
        (&shown.table_bytes_max, overview.table_bytes_max),
    ];
    for (gauge, value) in gauges {
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    }
    shown.entry_commands.set(overview.batch.clone());
    shown.commit_seconds.set(overview.commit.clone());
    shown.lock_wait_seconds.set(overview.wait.clone());
    shown.log_flush_seconds.set(overview.flush.clone());
    refresh_cluster(metrics, cluster);
}

fn refresh_cluster(metrics: &Metrics, cluster: &ClusterView) {
    let shown = &metrics.engine;
    shown.has_quorum.set(cluster.has_quorum.into());
    shown.members.set(cluster.members.len() as i64);
    shown.feature_level.set(cluster.level.into());
    let others = cluster.members.iter().filter(|member| Some(member.node) != cluster.leader);
    metrics.peer_lag.set(others.filter_map(|member| Some((NodeLabels { node: member.node }, member.lag_entries?))));
}
