//! OpenTelemetry traces: what a collector gets, and what it costs when the collector gets nothing.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::{Value, json};

use super::collector::Collector;
use crate::dialects::dialect_client::until;
use crate::support::client::Client;
use crate::support::machine::Machine;
use crate::support::process::Server;
use crate::support::redis::RedisClient;
use crate::support::spec::Spec;

const KEY: &str = "a key of the tests";
const SECRET: &str = "hunter2";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traceparent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{PARENT}-{flags}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref().map(|value| format!("{:?}", value.value))
}

/// The spans of one trace with this name.
fn named<'a>(spans: &'a [Span], trace: &str, name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| hex(&span.trace_id) == trace && span.name == name).collect()
}

fn configuration(endpoint: &str, protocol: &str) -> String {
    let headers = "headers_file = \"headers\"\nsample_percent = \"0\"\n";
    format!("[tracing]\nendpoint = \"{endpoint}\"\nprotocol = \"{protocol}\"\n{headers}")
}

fn with_session(server: &Server) -> Client {
    let mut client = Client::plain(server).with_header("X-API-Key", KEY);
    assert_eq!(client.post("/session", &json!({})).status, 201);
    client
}

fn take(client: &mut Client, wait: u32) -> Value {
    let asked = json!({"name": "deploy", "lock_timeout_seconds": 60, "wait_timeout_seconds": wait});
    client.post("/v1/lock", &asked).json()
}

/// A request of the trace waits for a lock that another client releases. Gives what spans may not hold.
fn traced_wait(server: &Server) -> Vec<String> {
    let mut holder = with_session(server);
    let key = take(&mut holder, 0)["key"].clone();
    let mut waiter = with_session(server).with_header("traceparent", &traceparent(TRACE, "01"));
    let cookie = waiter.cookie("ldlm-session").expect("a session").to_owned();
    let waiting = std::thread::spawn(move || take(&mut waiter, 30));
    until("the wait", || holder.get("/v1/locks/deploy").json()["queue_length"] == 1);
    assert_eq!(holder.post("/v1/unlock", &json!({"name": "deploy", "key": key})).status, 200);
    let taken = waiting.join().expect("granted")["key"].clone();
    [key, taken].iter().map(|key| key.as_str().expect("a key").to_owned()).chain([cookie, SECRET.to_owned()]).collect()
}

fn check_spans(collector: &Collector, secrets: &[String]) {
    let spans = collector.spans();
    let request = named(&spans, TRACE, "POST sessions_v1")[0];
    assert_eq!(hex(&request.parent_span_id), PARENT);
    assert_eq!(attribute(request, "http.response.status_code").as_deref(), Some("Some(IntValue(200))"));
    let under = |parent: &Span, name: &str| -> Span {
        let found = named(&spans, TRACE, name).into_iter().find(|span| span.parent_span_id == parent.span_id);
        found.unwrap_or_else(|| panic!("no {name} below {} in {spans:?}", parent.name)).clone()
    };
    let (queue, commit, wait) = (under(request, "queue"), under(request, "commit"), under(request, "wait"));
    let (flush, apply) = (under(&commit, "flush"), under(&commit, "apply"));
    let times = [&request, &&queue, &&commit, &&flush, &&apply, &&wait].map(|span| span.start_time_unix_nano);
    assert!(times.is_sorted(), "{times:?}");
    assert!(flush.end_time_unix_nano <= apply.start_time_unix_nano, "{flush:?} {apply:?}");
    assert!(wait.end_time_unix_nano <= request.end_time_unix_nano && wait.start_time_unix_nano > 0);
    assert!(attribute(&wait, "latchd.lock").is_some_and(|lock| lock.contains("deploy")), "{wait:?}");
    assert_eq!(attribute(&flush, "latchd.entry_commands").as_deref(), Some("Some(IntValue(1))"));
    let text = collector.text();
    assert!(secrets.iter().all(|secret| !text.contains(secret)), "a secret in {text}");
    assert!(text.contains("node-1") && text.contains("service.name"));
}

/// Requests whose parent is not sampled, or is none, begin no trace here; a sampled one is answered with its span.
fn check_parents(server: &Server) {
    let with = |field: &str| Client::plain(server).with_header("X-API-Key", KEY).with_header("traceparent", field);
    for field in [&traceparent(TRACE, "00"), "00-0-0-01", ""] {
        assert_eq!(with(field).get("/v1/locks").header("traceresponse"), None, "{field:?}");
    }
    let answer = with(&traceparent(TRACE, "01")).get("/v1/locks");
    let response = answer.header("traceresponse").expect("a traced answer");
    assert!(response.starts_with(&format!("00-{TRACE}-")) && !response.contains(PARENT), "{response}");
}

fn reaches_the_collector(protocol: &str) -> (Collector, Server, tempfile::TempDir) {
    let (collector, home) = (Collector::start(), tempfile::tempdir().expect("a directory"));
    let headers = home.path().join("headers");
    std::fs::write(&headers, format!("X-Key: {SECRET}\n")).expect("written");
    let text = configuration(&format!("http://{}", collector.address), protocol);
    let text = text.replace("\"headers\"", &format!("\"{}\"", headers.display()));
    let server = Spec::durable(&home.path().join("data")).api_key(KEY).configuration(text).start();
    let secrets = traced_wait(&server);
    until("the spans", || !named(&collector.spans(), TRACE, "POST sessions_v1").is_empty());
    check_spans(&collector, &secrets);
    assert_eq!(collector.header("x-key").as_deref(), Some(SECRET));
    (collector, server, home)
}

#[test]
fn spans_of_a_wait_reach_the_collector_over_http() {
    let (collector, server, _home) = reaches_the_collector("http/protobuf");
    check_parents(&server);
    // A command that is traced passes its trace on, to the service and to its own command.
    let trace = "11112222333344445555666677778888";
    let mut command = crate::cli::lock::job::lock(&server, "nightly", &[], "printenv TRACEPARENT");
    command.env("LATCHD_API_KEY", KEY).env("TRACEPARENT", traceparent(trace, "01"));
    let ended = crate::cli::lock::job::run(command);
    assert_eq!(ended.stdout.trim(), traceparent(trace, "01"), "{}", ended.stderr);
    // What was not sent yet goes out at the end.
    let log = server.stop().stderr;
    let spans = collector.spans();
    let taken = named(&spans, trace, "commit");
    assert!(
        taken.iter().any(|span| attribute(span, "latchd.lock").is_some_and(|lock| lock.contains("nightly"))),
        "{log}"
    );
    assert!(!log.contains(SECRET), "{log}");
}

#[test]
fn spans_of_a_wait_reach_the_collector_over_grpc() {
    let (_collector, server, _home) = reaches_the_collector("grpc");
    let exported = || crate::security::rights::metric(&server, "latchd_spans_exported_total");
    until("sent spans are counted", || exported() >= 6.0);
}

const NODES: &str = r#"
latchd certs init --dir peers --nodes 1=127.0.0.1,2=127.0.0.1,3=127.0.0.1 > certs.log
PEERS=1=https://127.0.0.1:9441,2=https://127.0.0.1:9442,3=https://127.0.0.1:9443
for N in 1 2 3; do
  latchd serve --node-id $N --listen http://127.0.0.1:844$N --data-dir data$N --peer-listen https://127.0.0.1:944$N \
    --peers $PEERS --peer-ca peers/ca.pem --peer-cert peers/node$N.pem --peer-key peers/node$N.key > node$N.log 2>&1 &
done
for N in 1 2 3; do
  until curl -s http://127.0.0.1:844$N/v1/cluster | grep -q '"standing":"member"'; do sleep 0.1; done
  until curl -sf http://127.0.0.1:844$N/readyz > /dev/null; do sleep 0.1; done
done
curl -s http://127.0.0.1:8441/v1/cluster
"#;

#[test]
fn request_to_a_follower_has_one_trace_with_spans_of_both_nodes() {
    let (collector, machine) = (Collector::start(), Machine::new(39));
    // By its name: the addresses of a script are those of its machine.
    let endpoint = format!("export LATCHD_TRACING_ENDPOINT=http://localhost:{}", collector.address.port());
    let view = machine.run(&format!("{endpoint} LATCHD_TRACING_SAMPLE_PERCENT=0\n{NODES}"));
    let view: Value = serde_json::from_str(&view).expect("JSON");
    let leader = view["leader"].as_u64().expect("a leader");
    let follower = (1..=3).find(|node| *node != leader).expect("one of the others");
    let parent = traceparent(TRACE, "01");
    machine.run(&format!("curl -sf -X POST -H 'traceparent: {parent}' http://127.0.0.1:844{follower}/lock/deploy"));
    let of = |node: u64, name: &str| -> Vec<Span> {
        named(&collector.spans_of(&format!("node-{node}")), TRACE, name).into_iter().cloned().collect()
    };
    until("the spans of both", || !of(leader, "forwarded").is_empty() && !of(follower, "commit").is_empty());
    let requests = collector.spans_of(&format!("node-{follower}"));
    let request = requests.iter().find(|span| hex(&span.parent_span_id) == PARENT).expect("the request");
    let (forwarded, here) = (of(leader, "forwarded"), of(follower, "commit"));
    assert!(forwarded.iter().chain(&here).all(|span| span.parent_span_id == request.span_id), "{forwarded:?} {here:?}");
    let there = of(leader, "commit");
    let names_lock = attribute(&there[0], "latchd.lock").is_some_and(|lock| lock.contains("deploy"));
    assert!(there[0].parent_span_id == forwarded[0].span_id && names_lock, "{there:?}");
    assert_eq!(of(leader, "apply")[0].parent_span_id, there[0].span_id);
    assert!(collector.spans().iter().all(|span| hex(&span.trace_id) == TRACE), "nothing else is traced");
}

#[test]
fn collector_that_hangs_or_is_away_slows_nothing() {
    // Connections are accepted by the kernel, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("an address"));
    for endpoint in [endpoint.as_str(), "http://127.0.0.1:1"] {
        let text = format!("[tracing]\nendpoint = \"{endpoint}\"\ntraces_per_second_max = 100000\n");
        let server = Spec::in_memory().api_key(KEY).configuration(text).start();
        let mut client = with_session(&server);
        let began = Instant::now();
        for _ in 0..300 {
            assert_eq!(client.post("/v1/lock", &json!({"name": "a"})).status, 200);
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(60), "{took:?} at {endpoint}");
        let dropped = || crate::security::rights::metric(&server, "latchd_spans_dropped_total") > 0.0;
        until("lost spans are counted", dropped);
        let began = Instant::now();
        let log = server.stop().stderr;
        assert!(began.elapsed() < Duration::from_secs(50), "the end took {:?}", began.elapsed());
        assert!(log.contains("spans are lost: the collector does not take them"), "{log}");
    }
}

#[test]
fn commands_of_redis_that_reach_the_table_have_spans() {
    let (collector, home) = (Collector::start(), tempfile::tempdir().expect("a directory"));
    let text = format!("[tracing]\nendpoint = \"http://{}\"\n", collector.address);
    let server = Spec::durable(&home.path().join("data")).redis().configuration(text).start();
    let mut redis = RedisClient::new(&server);
    let set = ["SET", "deploy", SECRET, "NX", "PX", "60000"];
    for command in [&["PING"][..], &set, &["GET", "deploy"], &["EVAL", "return 7", "1", "deploy"], &["DEL", "deploy"]] {
        redis.ask(command);
    }
    until("the spans", || collector.spans().iter().any(|span| span.name == "DEL redis"));
    let spans = collector.spans();
    let of = |name: &str| -> Span {
        spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {spans:?}")).clone()
    };
    let set = of("SET redis");
    assert_eq!((set.parent_span_id.len(), set.kind), (0, SpanKind::Server as i32));
    let under =
        |parent: &Span, name: &str| spans.iter().any(|span| span.name == name && span.parent_span_id == parent.span_id);
    let commit =
        spans.iter().find(|span| span.name == "commit" && span.parent_span_id == set.span_id).expect("a commit");
    assert!(under(&set, "queue") && under(commit, "flush") && under(commit, "apply"), "{spans:?}");
    assert!(attribute(commit, "latchd.lock").is_some_and(|lock| lock.contains("deploy")), "{commit:?}");
    let has_failed = |span: &Span| span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32);
    assert!(has_failed(&of("EVAL redis")) && !has_failed(&of("GET redis")), "{spans:?}");
    let text = collector.text();
    assert!(!text.contains(SECRET) && !text.contains("PING") && !text.contains("return 7"), "{text}");
}
