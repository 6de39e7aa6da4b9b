//! Every metric of the service, with Prometheus' own names and base units. No lock name, user or address is a label.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::gauges::{CertificateLabels, Gauges, NodeLabels};
use super::histogram::CopiedHistogram;
use super::limits::LimitRefusals;
use super::logs;
use super::process::ProcessMetrics;
use super::requests::{Requests, RouteLabels};
use crate::base::histogram::{Histogram, REQUEST_SECONDS};

/// The counters and gauges that the rooms add to, and the registry that shows them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub requests: Requests,
    /// From the headers read to the answer's head ready, waits included.
    pub request_seconds: Histogram,
    request_seconds_shown: CopiedHistogram,
    pub connections: Gauge,
    pub connections_refused: Counter,
    /// Connections ended because of a flood of HTTP/2 frames.
    pub connections_flooded: Counter,
    pub limit_refusals: LimitRefusals,
    /// Attempts with a password or a key that is not known.
    pub failed_logins: Counter,
    pub tls_failures: Counter,
    log_lines_lost: Counter,
    process: ProcessMetrics,
    /// Names without our prefix.
    bare: Registry,
    pub engine: EngineMetrics,
    /// Log entries that each other node lacks.
    pub peer_lag: Gauges<NodeLabels>,
    /// When the certificates in use end.
    pub certificate_expiry: Gauges<CertificateLabels>,
}

macro_rules! engine_metrics {
    (
        counters { $($counter:ident $counter_help:literal,)+ }
        gauges { $($gauge:ident $gauge_help:literal,)+ }
        histograms { $($histogram:ident $histogram_help:literal,)+ }
    ) => {
        /// What the engine counts by itself; set from its numbers just before they are shown.
        #[derive(Debug)]
        pub struct EngineMetrics {
            $(pub $counter: Counter,)+
            $(pub $gauge: Gauge,)+
            $(pub $histogram: CopiedHistogram,)+
        }

        impl EngineMetrics {
            fn new(shown: &mut Shown) -> Self {
                Self {
                    $($counter: shown.counter(stringify!($counter), $counter_help),)+
                    $($gauge: shown.gauge(stringify!($gauge), $gauge_help),)+
                    $($histogram: shown.histogram(stringify!($histogram), $histogram_help),)+
                }
            }
        }
    };
}

engine_metrics! {
    counters {
        log_entries "Log entries applied",
        commands "Commands applied; divided by the log entries, the size of a batch",
        elections "Leaderships begun, by whichever node",
        forwarded_commands "Commands that this node handed to the leader",
        grants "Holds granted, at once or after a wait",
        waits "Acquires that were put in a queue",
        refusals "Commands refused",
        wait_timeouts "Waits that ended by their timeout",
        renewals "Leases renewed",
        releases "Holds released by their owners",
        expirations "Holds that ended with their lease",
        forced_releases "Holds ended by an operator",
        session_releases "Holds that ended with their session",
        undelivered_grants "Holds released because their answer could not be delivered",
        sessions_opened "Sessions opened",
        sessions_closed "Sessions closed by their clients",
        sessions_idled_out "Sessions ended because nothing was heard of them",
        table_full_refusals "Requests refused because the table has reached its memory limit (locks.table_bytes_max)",
        pool_full_refusals "Requests refused because another pool of the service is full",
        share_full_refusals "Requests refused because their caller has its share of a pool (quotas)",
        broken_invariants "Commands refused by a broken invariant; anything above zero is a defect",
    }
    gauges {
        locks_held "Locks in use (with a hold or a waiter)",
        holds "Holds of all locks",
        waiters "Requests waiting for a lock",
        sessions "Open sessions",
        has_quorum "1 while a leader with a quorum behind it is known",
        members "Members of the cluster, with and without a vote",
        feature_level "Feature level that all members support",
        leader "1 while this node leads and serves",
        term "Term of the leadership",
        log_applied_index "Index of the last log entry applied",
        log_snapshot_index "Index of the last log entry in a snapshot",
        log_bytes "Bytes of the log since its last snapshot",
        disk_nearly_full "1 while new grants are refused for lack of disk space",
        disk_reserve_bytes "Free space on the data disk below which new grants are refused",
        log_flush_stalled_seconds "Whole seconds for which a flush of the log has not ended",
        event_readers "Readers of /v1/events",
        table_bytes "Bytes that the lock table takes, by its own count",
        table_bytes_max "Bytes that it may take",
    }
    histograms {
        entry_commands "Commands of a log entry",
        lock_wait_seconds "From asking this node for a lock until it was granted, at once or later, or the wait ended",
        commit_seconds "From handing an entry to the log until it is applied, on the leader",
        log_flush_seconds "From handing an append to the disk until it is flushed",
    }
}

/// The content type that `encode` writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Default for Metrics {
    fn default() -> Self {
        Self::new(RouteLabels::default())
    }
}

impl Metrics {
    /// Counts requests under these labels.
    pub fn new(labels: RouteLabels) -> Self {
        let mut shown = Shown(Registry::with_prefix("latchd"));
        let requests = Requests::new(labels);
        shown.0.register("http_requests", "Answered requests", requests.family.clone());
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        shown.0.register("build", "What runs here", build);
        let mut bare = Registry::default();
        let process = ProcessMetrics::registered(&mut bare);
        Self {
            requests,
            request_seconds: Histogram::new(REQUEST_SECONDS),
            request_seconds_shown: shown.histogram("http_request_seconds", "Time to answer, waits included"),
            connections: shown.gauge("connections", "Open connections"),
            connections_refused: shown
                .counter("connections_refused", "Connections and requests refused by a connection limit"),
            connections_flooded: shown
                .counter("connections_flooded", "Connections ended because their HTTP/2 frames did nothing but cost"),
            limit_refusals: LimitRefusals::registered(&mut shown.0),
            log_lines_lost: shown
                .counter("log_lines_lost", "Log lines that nobody took in time, or that failed to be written"),
            failed_logins: shown.counter("failed_logins", "Requests with a wrong password or key"),
            tls_failures: shown.counter("tls_failures", "TLS handshakes with clients that failed"),
            engine: EngineMetrics::new(&mut shown),
            peer_lag: Gauges::registered(
                &mut shown.0,
                "peer_lag_entries",
                "Log entries that another node lacks; only the leader knows and shows it",
            ),
            certificate_expiry: Gauges::registered(
                &mut shown.0,
                "certificate_expiry_timestamp_seconds",
                "When a certificate in use ends, in seconds since 1970, by the configuration key of its file",
            ),
            process,
            bare,
            registry: shown.0,
        }
    }

    /// The text that `/metrics` answers.
    pub fn encode(&self) -> String {
        // It only rises, so storing it keeps what a counter promises.
        self.log_lines_lost.inner().store(logs::lost_lines(), Ordering::Relaxed);
        self.request_seconds_shown.set(self.request_seconds.read());
        self.process.refresh();
        let mut out = String::new();
        let written = [&self.registry, &self.bare].iter().try_for_each(|from| text::encode_registry(&mut out, from));
        written.and_then(|()| text::encode_eof(&mut out)).expect("writing to a String cannot fail");
        out
    }
}

/// Registers as it makes. The encoder adds `_total` to the name of a counter.
struct Shown(Registry);

impl Shown {
    fn counter(&mut self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.0.register(name, help, counter.clone());
        counter
    }

    fn histogram(&mut self, name: &str, help: &str) -> CopiedHistogram {
        let histogram = CopiedHistogram::default();
        self.0.register(name, help, histogram.clone());
        histogram
    }

    fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.0.register(name, help, gauge.clone());
        gauge
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_are_counted_by_dialect_method_and_class() {
        let mut labels = RouteLabels::default();
        labels.add("/v1/lock", "sessions_v1");
        labels.add("/lock/{*name}", "lock_by_name");
        let metrics = Metrics::new(labels);
        for (path, method, status) in
            [("/v1/lock", "POST", 200), ("/v1/lock", "POST", 200), ("/lock/a", "DELETE", 404), ("/x", "PUT", 405)]
        {
            metrics.requests.count(metrics.requests.labels.of(path), method, status);
        }
        let text = metrics.encode();
        for line in [
            r#"latchd_http_requests_total{dialect="sessions_v1",method="POST",status_class="2xx"} 2"#,
            r#"latchd_http_requests_total{dialect="lock_by_name",method="DELETE",status_class="4xx"} 1"#,
            r#"latchd_http_requests_total{dialect="other",method="other",status_class="4xx"} 1"#,
        ] {
            assert!(text.contains(line), "{line} in:\n{text}");
        }
    }

    #[test]
    fn durations_are_counted_in_their_buckets() {
        let metrics = Metrics::default();
        for micros in [50, 100, 700, 120_000_000] {
            metrics.request_seconds.observe_duration(Duration::from_micros(micros));
        }
        let text = metrics.encode();
        for line in [
            r#"latchd_http_request_seconds_bucket{le="0.0001"} 2"#,
            r#"latchd_http_request_seconds_bucket{le="0.001"} 3"#,
            r#"latchd_http_request_seconds_bucket{le="60.0"} 3"#,
            r#"latchd_http_request_seconds_bucket{le="+Inf"} 4"#,
            "latchd_http_request_seconds_count 4",
        ] {
            assert!(text.contains(line), "{line} in:\n{text}");
        }
    }

    #[test]
    fn removed_node_has_no_gauge() {
        let metrics = Metrics::default();
        metrics.peer_lag.set([(NodeLabels { node: 2 }, 7), (NodeLabels { node: 3 }, 0)].into_iter());
        assert!(metrics.encode().contains("latchd_peer_lag_entries{node=\"2\"} 7"));
        metrics.peer_lag.set([(NodeLabels { node: 3 }, 1)].into_iter());
        let text = metrics.encode();
        assert!(text.contains("latchd_peer_lag_entries{node=\"3\"} 1") && !text.contains("node=\"2\""), "{text}");
    }
}
