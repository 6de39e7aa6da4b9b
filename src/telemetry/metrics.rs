//! Every metric of the service, with Prometheus' own names and base units. No lock name, user or address is a label.

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::histogram::DurationHistogram;
use super::requests::Requests;

/// The counters and gauges that the rooms add to, and the registry that shows them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub requests: Requests,
    /// From the headers read to the answer's head ready, waits included.
    pub request_seconds: DurationHistogram,
    pub connections: Gauge,
    pub connections_refused: Counter,
    pub deliveries_lost: Counter,
    pub grants: Counter,
    pub releases: Counter,
    pub expirations: Counter,
    pub snapshots: Counter,
    /// Commands that apply refused because an invariant was broken; anything above zero is a defect.
    pub broken_invariants: Counter,
    pub locks_held: Gauge,
    pub waiters: Gauge,
    pub sessions: Gauge,
    pub log_bytes: Gauge,
}

/// The content type that `encode` writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Default for Metrics {
    fn default() -> Self {
        let mut shown = Shown(Registry::with_prefix("latchd"));
        let requests = Requests::default();
        shown.0.register("http_requests", "Answered requests", requests.family.clone());
        let request_seconds = DurationHistogram::default();
        shown.0.register("http_request_seconds", "Time to answer, waits included", request_seconds.clone());
        Self {
            requests,
            request_seconds,
            connections: shown.gauge("connections", "Open connections"),
            connections_refused: shown.counter("connections_refused", "Connections beyond connections_max"),
            deliveries_lost: shown.counter("deliveries_lost", "Grants given back because their connection closed"),
            grants: shown.counter("grants", "Holds granted"),
            releases: shown.counter("releases", "Holds released by request"),
            expirations: shown.counter("expirations", "Holds that ended with their lease or session"),
            snapshots: shown.counter("snapshots", "Snapshots written"),
            broken_invariants: shown.counter("broken_invariants", "Commands refused by a broken invariant"),
            locks_held: shown.gauge("locks_held", "Locks with at least one hold"),
            waiters: shown.gauge("waiters", "Requests waiting for a lock"),
            sessions: shown.gauge("sessions", "Open sessions"),
            log_bytes: shown.gauge("log_bytes", "Bytes of the log since its last purge"),
            registry: shown.0,
        }
    }
}

impl Metrics {
    /// The text that `/metrics` answers.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("writing to a String cannot fail");
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

    fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.0.register(name, help, gauge.clone());
        gauge
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::requests::Spoken;
    use super::*;

    #[test]
    fn requests_are_counted_by_dialect_method_and_class() {
        let metrics = Metrics::default();
        for (path, method, status) in
            [("/v1/lock", "POST", 200), ("/v1/lock", "POST", 200), ("/lock/a", "DELETE", 404), ("/x", "PUT", 405)]
        {
            metrics.requests.count(Spoken::on(path), method, status);
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
    fn durations_fall_into_their_buckets() {
        let metrics = Metrics::default();
        for micros in [50, 100, 700, 120_000_000] {
            metrics.request_seconds.observe(Duration::from_micros(micros));
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
}
