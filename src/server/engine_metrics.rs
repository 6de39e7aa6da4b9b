//! The engine's own numbers, each with its name, its help text and its value.

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::engine::{ClusterView, Overview, Stats};
use crate::telemetry::Metrics;
use crate::telemetry::gauges::NodeLabels;

/// Registers what the engine says now.
pub fn register(shown: &mut Registry, metrics: &Metrics, overview: &Overview, cluster: &ClusterView) {
    register_counters(shown, &overview.stats);
    register_gauges(shown, overview, cluster);
    for (name, help, value) in [
        ("entry_commands", "Commands of a log entry", &overview.batch),
        (
            "lock_wait_seconds",
            "From asking this node for a lock until it was granted, at once or later, or the wait ended",
            &overview.wait,
        ),
        ("commit_seconds", "From handing an entry to the log until it is applied, on the leader", &overview.commit),
        ("log_flush_seconds", "From handing an append to the disk until it is flushed", &overview.flush),
    ] {
        shown.register(name, help, value.clone());
    }
    let others = cluster.members.iter().filter(|member| Some(member.node) != cluster.leader);
    metrics.peer_lag.set(others.filter_map(|member| Some((NodeLabels { node: member.node }, member.lag_entries?))));
}

fn register_counters(shown: &mut Registry, stats: &Stats) {
    for (name, help, value) in [
        ("log_entries", "Log entries applied", stats.entries),
        ("commands", "Commands applied; divided by the log entries, the size of a batch", stats.commands),
        ("elections", "Leaderships begun, by whichever node", stats.elections),
        ("forwarded_commands", "Commands that this node handed to the leader", stats.forwarded),
        ("grants", "Holds granted, at once or after a wait", stats.grants),
        ("waits", "Acquires that were put in a queue", stats.waits),
        ("refusals", "Commands refused", stats.refusals),
        ("wait_timeouts", "Waits that ended by their timeout", stats.wait_timeouts),
        ("transfers", "Holds that another session got by a transfer", stats.transfers),
        ("deadlocks", "Waits that were refused because they would have closed a cycle", stats.deadlocks),
        (
            "deadlock_searches_cut",
            "Searches for a deadlock that met locks.deadlock_search_max",
            stats.deadlock_searches_cut,
        ),
        ("renewals", "Leases renewed", stats.renewals),
        ("releases", "Holds released by their owners", stats.releases),
        ("expirations", "Holds that ended with their lease", stats.expirations),
        ("forced_releases", "Holds ended by an operator", stats.forced_releases),
        ("session_releases", "Holds that ended with their session", stats.session_releases),
        ("undelivered_grants", "Holds released because their answer could not be delivered", stats.undelivered_grants),
        ("sessions_opened", "Sessions opened", stats.sessions_opened),
        ("sessions_closed", "Sessions closed by their clients", stats.sessions_closed),
        ("sessions_idled_out", "Sessions ended because nothing was heard of them", stats.sessions_idled_out),
        (
            "table_full_refusals",
            "Requests refused because the table has reached its memory limit (locks.table_bytes_max)",
            stats.table_full,
        ),
        ("pool_full_refusals", "Requests refused because another pool of the service is full", stats.pools_full),
        (
            "share_full_refusals",
            "Requests refused because their caller has its share of a pool (quotas)",
            stats.shares_full,
        ),
        (
            "quota_full_refusals",
            "Requests refused because a credential or a prefix has reached its quota (quotas.limits)",
            stats.quotas_full,
        ),
        (
            "broken_invariants",
            "Commands refused by a broken invariant; anything above zero is a defect",
            stats.broken_invariants,
        ),
    ] {
        shown.register(name, help, ConstCounter::new(value));
    }
}

fn register_gauges(shown: &mut Registry, overview: &Overview, cluster: &ClusterView) {
    let (counts, log) = (&overview.counts, &overview.log);
    for (name, help, value) in [
        ("locks_held", "Locks in use: with a hold, a waiter or a lock delay", counts.locks),
        ("holds", "Holds of all locks", counts.holds),
        ("waiters", "Requests waiting for a lock", counts.waiters),
        ("sessions", "Open sessions", counts.sessions),
        ("freezes", "Freezes that have not ended", counts.freezes),
        ("has_quorum", "1 while a leader with a quorum behind it is known", cluster.has_quorum.into()),
        ("members", "Members of the cluster, with and without a vote", cluster.members.len() as u64),
        ("feature_level", "Feature level that all members support", cluster.level.into()),
        ("leader", "1 while this node leads and serves", overview.leader.into()),
        ("term", "Term of the leadership", overview.term),
        ("log_applied_index", "Index of the last log entry applied", log.applied_index),
        ("log_snapshot_index", "Index of the last log entry in a snapshot", log.snapshot_index),
        ("log_bytes", "Bytes of the log since its last snapshot", log.log_bytes),
        ("disk_nearly_full", "1 while new grants are refused for lack of disk space", overview.disk_nearly_full.into()),
        (
            "disk_reserve_bytes",
            "Free space on the data disk below which new grants are refused",
            overview.disk_reserve_bytes,
        ),
        (
            "log_flush_stalled_seconds",
            "Whole seconds for which a flush of the log has not ended",
            overview.flush_stalled.as_secs(),
        ),
        ("event_readers", "Readers of /v1/events", overview.event_readers),
        ("table_bytes", "Bytes that the lock table takes, by its own count", overview.table_bytes),
        ("table_bytes_max", "Bytes that it may take", overview.table_bytes_max),
        ("history_holds", "Ended holds that are remembered", overview.history_holds),
        ("history_bytes", "Bytes that these take, at most locks.history_bytes_max", overview.history_bytes),
    ] {
        shown.register(name, help, ConstGauge::<u64>::new(value));
    }
    let state = Family::<[(&str, &str); 1], Gauge>::default();
    state.get_or_create(&[("state", cluster.state.as_str())]).set(1);
    shown.register("node_state", "1 for the state that this node is in, as GET /v1/cluster shows it", state);
}
