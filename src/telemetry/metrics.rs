//! Every metric of the service, with Prometheus' own names and base units. No lock name, user or address is a label.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use super::gauges::{CertificateLabels, Gauges, KeyLabels, NodeLabels, RoleLabels};
use super::logs;
use super::process::ProcessMetrics;
use super::requests::{Requests, RouteLabels};
use super::traces::SpanCounts;
use crate::base::histogram::{Distribution, Histogram, REQUEST_SECONDS};

/// The counters and gauges that the rooms add to, and the registry that shows them. What others count is read when it is shown.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub requests: Requests,
    /// From the headers read to the answer's head ready, waits included.
    pub request_seconds: Histogram,
    pub connections: Gauge,
    pub connections_refused: Counter,
    pub proxy_headers_refused: Counter,
    pub connections_flooded: Counter,
    pub tls_failures: Counter,
    redis_commands: Family<CommandLabels, Counter>,
    pub spans: SpanCounts,
    process: ProcessMetrics,
    /// Names without our prefix.
    bare: Registry,
    pub peer_lag: Gauges<NodeLabels>,
    pub certificate_expiry: Gauges<CertificateLabels>,
    pub keys: Gauges<KeyLabels>,
    pub key_expiry: Gauges<RoleLabels>,
    pub keys_file_stale: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommandLabels {
    command: &'static str,
    result: &'static str,
}

/// The content type that `encode` writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// An empty registry of metrics with our prefix.
pub fn registry() -> Registry {
    Registry::with_prefix("latchd")
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(RouteLabels::default())
    }
}

impl Metrics {
    /// Counts requests under these labels.
    pub fn new(labels: RouteLabels) -> Self {
        let (mut shown, mut bare) = (registry(), Registry::default());
        let requests = Requests::new(labels);
        shown.register("http_requests", "Answered requests", requests.family.clone());
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        shown.register("build", "What runs here", build);
        let redis_commands: Family<CommandLabels, Counter> =
            registered(&mut shown, "redis_commands", "Answered commands of the Redis protocol");
        // It is shown before the first command too.
        drop(redis_commands.get_or_create(&CommandLabels { command: "other", result: "error" }));
        Self {
            requests,
            request_seconds: Histogram::new(REQUEST_SECONDS),
            connections: registered(&mut shown, "connections", "Open connections"),
            connections_refused: registered(
                &mut shown,
                "connections_refused",
                "Connections and requests refused by a connection limit",
            ),
            proxy_headers_refused: registered(
                &mut shown,
                "proxy_headers_refused",
                "Connections refused because no PROXY protocol header of a trusted proxy began them",
            ),
            connections_flooded: registered(
                &mut shown,
                "connections_flooded",
                "Connections ended because their HTTP/2 frames did nothing but cost",
            ),
            tls_failures: registered(&mut shown, "tls_failures", "TLS handshakes with clients that failed"),
            redis_commands,
            peer_lag: Gauges::registered(
                &mut shown,
                "peer_lag_entries",
                "Log entries that another node lacks; only the leader knows and shows it",
            ),
            certificate_expiry: Gauges::registered(
                &mut shown,
                "certificate_expiry_timestamp_seconds",
                "When a certificate in use ends, in seconds since 1970, by the configuration key of its file",
            ),
            keys: Gauges::registered(&mut shown, "keys", "API keys, by whether they are valid or have expired"),
            key_expiry: Gauges::registered(
                &mut shown,
                "key_expiry_timestamp_seconds",
                "When the next API key of a role ends, in seconds since 1970",
            ),
            keys_file_stale: registered(
                &mut shown,
                "keys_file_stale",
                "1 while access.keys_file cannot be used, so that the keys read before it stay in use",
            ),
            spans: span_counts(&mut shown),
            process: ProcessMetrics::registered(&mut bare),
            bare,
            registry: shown,
        }
    }

    /// Counts an answered command of the Redis protocol. Only commands that are served have a name here.
    pub fn count_redis_command(&self, command: &'static str, is_error: bool) {
        let labels = CommandLabels { command, result: if is_error { "error" } else { "ok" } };
        self.redis_commands.get_or_create(&labels).inc();
    }

    /// The text that `/metrics` answers: what is counted here, and what others have read for this moment.
    pub fn encode(&self, mut read: Registry) -> String {
        read.register("http_request_seconds", "Time to answer, waits included", self.request_seconds.read());
        let help = "Log lines that nobody took in time, or that failed to be written";
        read.register("log_lines_lost", help, ConstCounter::new(logs::lost_lines()));
        self.process.refresh();
        let mut out = String::new();
        let written =
            [&self.registry, &read, &self.bare].iter().try_for_each(|from| text::encode_registry(&mut out, from));
        written.and_then(|()| text::encode_eof(&mut out)).expect("writing to a String cannot fail");
        out
    }
}

fn span_counts(shown: &mut Registry) -> SpanCounts {
    let help = "Spans that were lost because the collector of traces was away or slow";
    SpanCounts {
        exported: registered(shown, "spans_exported", "Spans that the collector of traces took"),
        dropped: registered(shown, "spans_dropped", help),
    }
}

/// A new metric that the registry shows. The encoder adds `_total` to the name of a counter.
fn registered<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

impl EncodeMetric for Distribution {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let count = self.buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum, count, &self.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
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
        let text = metrics.encode(registry());
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
        let text = metrics.encode(registry());
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
        assert!(metrics.encode(registry()).contains("latchd_peer_lag_entries{node=\"2\"} 7"));
        metrics.peer_lag.set([(NodeLabels { node: 3 }, 1)].into_iter());
        let text = metrics.encode(registry());
        assert!(text.contains("latchd_peer_lag_entries{node=\"3\"} 1") && !text.contains("node=\"2\""), "{text}");
    }
}
