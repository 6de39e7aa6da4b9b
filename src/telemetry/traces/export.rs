//! Sends spans to a collector with OTLP. Requests never wait for it: what does not fit the queue is dropped and counted.

use super::collector_client::{CollectorClient, LastFailure};
use super::tls::{CollectorFiles, CollectorTls};
use crate::base::LogRateLimit;
use crate::base::clock::process_age;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prometheus_client::metrics::counter::Counter;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};

/// Spans that wait: some megabytes.
const QUEUE_MAX: usize = 8192;
/// Spans that travel together.
const BATCH_MAX: usize = 512;
/// How long the first of them waits for others.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// How long the collector may take for a batch.
const TIMEOUT: Duration = Duration::from_secs(5);

static LINES: LogRateLimit = LogRateLimit::new(1);

/// Which collector, and how it is spoken to. Its headers may hold secrets, so it cannot be printed.
#[derive(Clone)]
pub struct Collector {
    pub endpoint: String,
    pub is_grpc: bool,
    pub headers: Vec<(String, String)>,
    pub files: CollectorFiles,
    /// What the spans say about this process.
    pub service_name: String,
    pub instance: String,
}

/// How many spans went where.
#[derive(Clone, Debug, Default)]
pub struct SpanCounts {
    pub exported: Counter,
    pub dropped: Counter,
}

/// The way into the queue.
#[derive(Debug)]
pub struct Export {
    queue: mpsc::Sender<SpanData>,
    counts: SpanCounts,
    closing: watch::Sender<bool>,
}

impl Export {
    /// Starts the task that sends; it ends when this is dropped or closed. Needs a runtime.
    pub fn start(collector: Collector, counts: SpanCounts) -> Result<Export, String> {
        let failure = LastFailure::default();
        let mut exporter = exporter(&collector, &failure)?;
        let about = Resource::builder().with_service_name(collector.service_name);
        let about = about.with_attribute(opentelemetry::KeyValue::new("service.instance.id", collector.instance));
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        exporter.set_resource(&about.with_attribute(version).build());
        let (queue, spans) = mpsc::channel(QUEUE_MAX);
        let (closing, closed) = watch::channel(false);
        tokio::spawn(send_all(spans, Sender { exporter, failure, counts: counts.clone() }, closed));
        Ok(Export { queue, counts, closing })
    }

    pub fn push(&self, span: SpanData) {
        if self.queue.try_send(span).is_err() {
            self.counts.dropped.inc();
        }
    }

    /// Sends what waits, within this time.
    pub async fn finish(&self, limit: Duration) {
        self.closing.send_replace(true);
        let ended = tokio::time::timeout(limit, self.closing.closed()).await;
        if ended.is_err() {
            tracing::warn!("the last spans were not sent: the collector takes too long");
        }
    }
}

/// What a batch is sent with.
struct Sender {
    exporter: SpanExporter,
    failure: LastFailure,
    counts: SpanCounts,
}

async fn send_all(mut spans: mpsc::Receiver<SpanData>, sender: Sender, mut closed: watch::Receiver<bool>) {
    let mut batch = Vec::new();
    loop {
        let arrived = tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed), if !spans.is_closed() => {
                spans.close();
                continue;
            }
            arrived = spans.recv_many(&mut batch, BATCH_MAX) => arrived,
        };
        if arrived == 0 {
            return;
        }
        fill(&mut batch, &mut spans, &mut closed).await;
        sender.send(std::mem::take(&mut batch)).await;
    }
}

/// Waits for more spans, up to a batch.
async fn fill(batch: &mut Vec<SpanData>, spans: &mut mpsc::Receiver<SpanData>, closed: &mut watch::Receiver<bool>) {
    let more = async { while batch.len() < BATCH_MAX && spans.recv_many(batch, BATCH_MAX - batch.len()).await > 0 {} };
    tokio::select! {
        biased;
        _ = closed.wait_for(|closed| *closed) => {}
        _ = tokio::time::timeout(BATCH_DELAY, more) => {}
    }
}

impl Sender {
    async fn send(&self, batch: Vec<SpanData>) {
        let count = batch.len() as u64;
        let sent = tokio::time::timeout(TIMEOUT, self.exporter.export(batch)).await;
        let cause = self.failure.take();
        let reason = match sent {
            Ok(Ok(())) => {
                self.counts.exported.inc_by(count);
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} seconds", TIMEOUT.as_secs()),
        };
        self.counts.dropped.inc_by(count);
        if let Some(held_back) = LINES.admit(process_age()) {
            let reason = cause.map_or(reason.clone(), |cause| format!("{reason}: {cause}"));
            tracing::warn!(
                reason,
                count,
                held_back,
                "{count} spans are lost: the collector does not take them ({reason})"
            );
        }
    }
}

fn exporter(collector: &Collector, failure: &LastFailure) -> Result<SpanExporter, String> {
    let Collector { endpoint, is_grpc, headers, files, .. } = collector;
    let tls = CollectorTls::read(files).map_err(|unusable| unusable.to_string())?;
    let exporter = match is_grpc {
        true => {
            let grpc = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(TIMEOUT);
            let grpc = grpc.with_metadata(metadata(headers)?);
            match endpoint.starts_with("https:") {
                true => grpc.with_tls_config(tls.for_grpc()).build(),
                false => grpc.build(),
            }
        }
        false => {
            let client = CollectorClient::new(tls.for_http(), failure.clone())?;
            let http = SpanExporter::builder().with_http().with_http_client(client).with_endpoint(endpoint);
            let headers: HashMap<String, String> = headers.iter().cloned().collect();
            http.with_headers(headers).with_protocol(Protocol::HttpBinary).with_timeout(TIMEOUT).build()
        }
    };
    exporter.map_err(|error| error.to_string())
}

fn metadata(headers: &[(String, String)]) -> Result<MetadataMap, String> {
    let mut metadata = MetadataMap::new();
    for (name, value) in headers {
        let unfit = || format!("the header {name} is none that gRPC can send");
        let key: MetadataKey<Ascii> = name.parse().map_err(|_| unfit())?;
        let value: MetadataValue<Ascii> = value.parse().map_err(|_| unfit())?;
        metadata.insert(key, value);
    }
    Ok(metadata)
}
