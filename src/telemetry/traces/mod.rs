//! OpenTelemetry traces: which requests are traced, and their spans.
//!
//! A traced request has a span of its own, and below it one for each step that the engine noted. Spans name locks, and no
//! key, session, credential or metadata. One flush of the log serves many requests: each traced one has its own copy of that
//! span, with the number of commands that shared it.

mod collector_client;
pub mod context;
mod export;
mod sampling;
mod tls;

pub use export::{Collector, SpanCounts};
pub use tls::{
    CA as COLLECTOR_CA, CERT as COLLECTOR_CERT, CollectorFiles, KEY as COLLECTOR_KEY, check as check_collector_files,
};

use crate::base::clock::{process_age, system_time, unix_time};
use crate::base::random::random_id;
use crate::base::request_times::{ForwardedTimes, RequestTimes, Step, StepKind, TraceParent};
use crate::base::{request_id, request_times};
use axum::http::HeaderMap;
use export::Export;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use sampling::Sampling;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long the end of the process waits for the collector.
const FINISH_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct Traces {
    sampling: Sampling,
    /// Of what other nodes have forwarded; they have decided already which requests are traced.
    forwarded: Sampling,
    export: Export,
    scope: InstrumentationScope,
}

/// A traced request, from its head to the head of its answer. Dropped before that, it was given up.
#[derive(Debug)]
pub struct TracedRequest {
    traces: Arc<Traces>,
    times: Arc<RequestTimes>,
    context: SpanContext,
    parent: Option<SpanContext>,
    name: String,
    attributes: Vec<KeyValue>,
    began: Duration,
    end: End,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
enum End {
    GivenUp,
    Answered(u16),
    /// Of a protocol without statuses.
    Replied {
        is_error: bool,
    },
}

impl Traces {
    /// Traces this part of the requests, and at most so many in a second. Needs a runtime.
    pub fn start(collector: Collector, ratio: f64, per_second: u32, counts: SpanCounts) -> Result<Arc<Traces>, String> {
        let export = Export::start(collector, counts)?;
        let scope = InstrumentationScope::builder("latchd").with_version(env!("CARGO_PKG_VERSION")).build();
        let (sampling, forwarded) = (Sampling::new(ratio, per_second), Sampling::new(1.0, per_second));
        let traces = Arc::new(Traces { sampling, forwarded, export, scope });
        let weak = Arc::downgrade(&traces);
        request_times::switch_on(move |times| weak.upgrade().iter().for_each(|traces| traces.forwarded(&times)));
        Ok(traces)
    }

    /// Sends what waits, for a moment.
    pub async fn finish(&self) {
        self.export.finish(FINISH_TIMEOUT).await;
    }

    /// Begins the span of a request; `None` if it is not traced.
    pub fn begin(
        self: &Arc<Traces>,
        headers: &HeaderMap,
        from: IpAddr,
        method: &'static str,
        dialect: &'static str,
    ) -> Option<TracedRequest> {
        let attributes = vec![KeyValue::new("http.request.method", method), KeyValue::new("latchd.dialect", dialect)];
        self.begin_below(context::parent(headers), from, format!("{method} {dialect}"), attributes)
    }

    /// Begins the span of a command whose protocol has no place for a trace.
    pub fn begin_command(
        self: &Arc<Traces>,
        from: IpAddr,
        command: &'static str,
        dialect: &'static str,
    ) -> Option<TracedRequest> {
        self.begin_below(None, from, format!("{command} {dialect}"), vec![KeyValue::new("latchd.dialect", dialect)])
    }

    fn begin_below(
        self: &Arc<Traces>,
        parent: Option<SpanContext>,
        from: IpAddr,
        name: String,
        mut attributes: Vec<KeyValue>,
    ) -> Option<TracedRequest> {
        let trace = parent.as_ref().map_or_else(|| TraceId::from_bytes(random_id()), SpanContext::trace_id);
        let began = process_age();
        if !self.sampling.admits(parent.as_ref(), trace, from, began) {
            return None;
        }
        let state = parent.as_ref().map(|parent| parent.trace_state().clone()).unwrap_or_default();
        let context = SpanContext::new(trace, new_span_id(), TraceFlags::SAMPLED, false, state);
        attributes.extend(request_id::current().map(|id| KeyValue::new("latchd.request_id", id)));
        let here = TraceParent { trace: trace.to_bytes(), span: context.span_id().to_bytes() };
        let (traces, times, end) = (Arc::clone(self), Arc::new(RequestTimes::below(here)), End::GivenUp);
        Some(TracedRequest { traces, times, context, parent, name, attributes, began, end })
    }

    /// The span of what this node did for a request that another one has forwarded, and those below it.
    fn forwarded(&self, times: &ForwardedTimes) {
        let ForwardedTimes { parent: TraceParent { trace, span }, began, steps } = times;
        let (trace, now) = (TraceId::from_bytes(*trace), process_age());
        if trace == TraceId::INVALID || !self.forwarded.admits(None, trace, IpAddr::from([0; 4]), now) {
            return;
        }
        let parent =
            SpanContext::new(trace, SpanId::from_bytes(*span), TraceFlags::SAMPLED, true, TraceState::default());
        let (context, wall) = (child(&parent), WallClock::now());
        self.steps(steps, &context, wall);
        let (moments, name) = ((wall.at(*began), wall.at(now)), "forwarded".into());
        let mut span = self.span(context, Some(&parent), name, moments, Vec::new());
        span.span_kind = SpanKind::Server;
        self.push(span);
    }

    /// A span below `around` for each step.
    fn steps(&self, steps: &[Step], around: &SpanContext, wall: WallClock) {
        let commits: Vec<(Duration, Duration, SpanContext)> = steps
            .iter()
            .filter(|step| step.kind == StepKind::Commit)
            .map(|step| (step.began, step.ended, child(around)))
            .collect();
        for step in steps {
            let commit = commits.iter().find(|(began, ended, _)| *began <= step.began && step.ended <= *ended);
            let (context, parent) = match (step.kind, commit) {
                (StepKind::Commit, Some((_, _, commit))) => (commit.clone(), around),
                (StepKind::Flush | StepKind::Apply, Some((_, _, commit))) => (child(around), commit),
                _ => (child(around), around),
            };
            let times = (wall.at(step.began), wall.at(step.ended));
            self.push(self.span(context, Some(parent), name_of(step.kind).into(), times, attributes_of(step)));
        }
    }

    fn push(&self, span: SpanData) {
        self.export.push(span);
    }

    fn span(
        &self,
        context: SpanContext,
        parent: Option<&SpanContext>,
        name: Cow<'static, str>,
        (began, ended): (SystemTime, SystemTime),
        attributes: Vec<KeyValue>,
    ) -> SpanData {
        SpanData {
            span_context: context,
            parent_span_id: parent.map_or(SpanId::INVALID, SpanContext::span_id),
            parent_span_is_remote: parent.is_some_and(SpanContext::is_remote),
            span_kind: SpanKind::Internal,
            name,
            start_time: began,
            end_time: ended,
            attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

impl TracedRequest {
    /// Where the parts of the way note what it waits for.
    pub fn times(&self) -> Arc<RequestTimes> {
        Arc::clone(&self.times)
    }

    /// The span in an answer.
    pub fn traceresponse(&self) -> String {
        context::written(&self.context)
    }

    pub fn answered(mut self, status: u16) {
        self.end = End::Answered(status);
    }

    /// In a protocol without statuses.
    pub fn replied(mut self, is_error: bool) {
        self.end = End::Replied { is_error };
    }
}

impl Drop for TracedRequest {
    fn drop(&mut self) {
        let wall = WallClock::now();
        self.traces.steps(&self.times.take(), &self.context, wall);
        let mut attributes = std::mem::take(&mut self.attributes);
        if let End::Answered(status) = self.end {
            attributes.push(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        let (context, parent) = (self.context.clone(), self.parent.as_ref());
        let times = (wall.at(self.began), wall.at(process_age()));
        let mut span = self.traces.span(context, parent, std::mem::take(&mut self.name).into(), times, attributes);
        span.span_kind = SpanKind::Server;
        span.status = match self.end {
            End::GivenUp => Status::error("its client has gone"),
            End::Answered(500..) | End::Replied { is_error: true } => Status::error(""),
            End::Answered(_) | End::Replied { .. } => Status::Unset,
        };
        self.traces.push(span);
    }
}

fn name_of(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Queue => "queue",
        StepKind::Commit => "commit",
        StepKind::Flush => "flush",
        StepKind::Apply => "apply",
        StepKind::Wait => "wait",
    }
}

fn attributes_of(step: &Step) -> Vec<KeyValue> {
    let lock = step.lock.as_ref().map(|lock| KeyValue::new("latchd.lock", lock.to_string()));
    let commands = (step.commands > 0).then_some(step.commands as i64);
    let commands = commands.map(|commands| KeyValue::new("latchd.entry_commands", commands));
    lock.into_iter().chain(commands).collect()
}

/// A new span of the same trace.
fn child(around: &SpanContext) -> SpanContext {
    SpanContext::new(around.trace_id(), new_span_id(), TraceFlags::SAMPLED, false, around.trace_state().clone())
}

fn new_span_id() -> SpanId {
    let [a, b, c, d, e, f, g, h, ..] = random_id();
    // Zero is no id.
    SpanId::from_bytes([a, b, c, d, e, f, g, h | 1])
}

/// From ages of the process to moments.
#[derive(Clone, Copy)]
struct WallClock {
    unix: Duration,
    age: Duration,
}

impl WallClock {
    fn now() -> WallClock {
        WallClock { unix: unix_time(), age: process_age() }
    }

    fn at(self, age: Duration) -> SystemTime {
        system_time((self.unix + age).saturating_sub(self.age))
    }
}
