//! What one HTTP/2 connection may make the server keep, and which floods end it.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::support::client::Client;
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE,
    call, frame, get_from, peak_memory,
};
use crate::support::process::Server;
use crate::support::spec::Spec;

const MIB: u64 = 1 << 20;
const CHECK: &str = "/grpc.health.v1.Health/Check";
const LOCK: &str = "/ldlm.LDLM/Lock";

/// As many as the server lets one connection have.
const STREAMS: u32 = 10_000;

fn with_key() -> Server {
    Spec::in_memory().api_key("a key of the owner").start()
}

/// Opens so many calls whose messages never come; how many are answered at once.
fn park(raw: &mut Raw, path: &str, fields: usize) -> u32 {
    let mut answered = 0;
    for at in 0..STREAMS {
        raw.send(&frame(HEADERS, END_HEADERS, 2 * at + 1, &call(path, fields, at == 0)));
        // What is answered has to be read now and then, or nobody moves.
        if at % 1000 == 999 {
            answered += raw.settle();
        }
    }
    answered + raw.settle()
}

fn metric(server: &Server, name: &str) -> u64 {
    let text = Client::plain(server).with_header("x-api-key", "a key of the owner").get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in {text}"));
    line.trim().parse().expect("a number")
}

#[test]
fn calls_with_hundreds_of_header_fields_are_refused_and_keep_no_memory() {
    let server = with_key();
    let before = peak_memory(&server);
    let answered = park(&mut Raw::open(&server), CHECK, 900);
    let grown = peak_memory(&server) - before;
    // The last answers may come after the answer to the PING.
    assert!(answered > STREAMS - 500, "all are refused at once: {answered}");
    assert!(grown < 48 * MIB, "{} MiB more", grown / MIB);
}

#[test]
fn pipelined_heads_are_refused_one_by_one() {
    let server = with_key();
    let before = peak_memory(&server);
    let mut raw = Raw::open(&server);
    raw.drain();
    let calls: Vec<u8> =
        (0..STREAMS).flat_map(|at| frame(HEADERS, END_HEADERS, 2 * at + 1, &call(CHECK, 900, at == 0))).collect();
    raw.send(&calls);
    crate::dialects::dialect_client::until("all to be answered", || {
        let count = metric(&server, r#"latchd_http_requests_total{dialect="other",method="POST",status_class="2xx"}"#);
        count >= u64::from(STREAMS)
    });
    let grown = peak_memory(&server) - before;
    assert!(grown < 48 * MIB, "{} MiB more", grown / MIB);
}

#[test]
fn unidentified_calls_are_held_to_their_share() {
    let server = Spec::in_memory()
        .api_key("a key of the owner")
        .configuration("[server]\nunidentified_bytes_max = \"16MiB\"\n")
        .start();
    let before = peak_memory(&server);
    let mut raw = Raw::open(&server);
    let answered = park(&mut raw, CHECK, 95);
    let grown = peak_memory(&server) - before;
    assert!((8_000..STREAMS).contains(&answered), "{answered} of {STREAMS} are refused");
    assert!(grown < 64 * MIB, "{} MiB more", grown / MIB);
    // As large as one of those calls, or there might be room left for it.
    let fields = "x-field: with a text of some length\r\n".repeat(97);
    let from = |last| get_from(server.http(), Ipv4Addr::new(127, 0, 0, last).into(), "/docs", &fields);
    let refused = from(1);
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("server.unidentified_bytes_max"), "{refused}");
    assert!(from(2).starts_with("HTTP/1.1 200"), "another address");
    assert!(get_from(server.http(), Ipv4Addr::LOCALHOST.into(), "/readyz", "").starts_with("HTTP/1.1 200"), "a probe");
    assert_eq!(server.stderr().matches("server.unidentified_bytes_max is reached").count(), 1, "told once a minute");
    drop(raw);
    crate::dialects::dialect_client::until("the share to be free again", || from(1).starts_with("HTTP/1.1 200"));
    let refusals = metric(&server, r#"latchd_limit_refusals_total{limit="server.unidentified_bytes_max"}"#);
    assert!(refusals >= u64::from(answered), "{refusals}");
}

#[test]
fn anonymous_grpc_calls_without_messages_are_limited() {
    let server = Spec::in_memory().configuration("[server]\nunidentified_bytes_max = \"16MiB\"\n").start();
    let before = peak_memory(&server);
    let answered = park(&mut Raw::open(&server), LOCK, 60);
    let grown = peak_memory(&server) - before;
    assert!((8_000..STREAMS).contains(&answered), "{answered} of {STREAMS} are refused");
    assert!(grown < 64 * MIB, "{} MiB more", grown / MIB);
}

#[test]
fn refused_grpc_call_has_a_grpc_status() {
    let server = Spec::in_memory().configuration("[server]\nunidentified_bytes_max = \"1MiB\"\n").start();
    let mut raw = Raw::open(&server);
    for at in 0..300 {
        raw.send(&frame(HEADERS, END_HEADERS, 2 * at + 1, &call(CHECK, 0, false)));
    }
    let refusal = std::iter::from_fn(|| raw.next()).find(|(kind, ..)| *kind == HEADERS).expect("one is refused");
    // RESOURCE_EXHAUSTED, as a literal of the header block or Huffman coded; the words name the key.
    let channel = crate::support::grpc::GrpcClient::plain(&server);
    let asked = latchd::api::grpc::proto::HealthCheckRequest::default();
    let answer: Result<latchd::api::grpc::proto::HealthCheckResponse, _> = channel.call(CHECK, asked);
    let (code, words) = crate::support::grpc::refusal(answer);
    assert_eq!(code, tonic::Code::ResourceExhausted, "{words} {refusal:?}");
    assert!(words.contains("server.unidentified_bytes_max"), "{words}");
}

#[test]
fn frame_flood_ends_the_connection() {
    let server = with_key();
    let opened = frame(HEADERS, END_HEADERS, 1, &call(CHECK, 0, false));
    let priority = [0, 0, 0, 3, 16];
    let floods: [(&str, Vec<u8>, Vec<u8>); 8] = [
        ("PING", vec![], frame(PING, 0, 0, &[7; 8])),
        ("PING answers", vec![], frame(PING, 1, 0, &[7; 8])),
        ("SETTINGS", vec![], frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", vec![], frame(PRIORITY, 0, 1, &priority)),
        ("WINDOW_UPDATE", vec![], frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
        ("unknown", vec![], frame(0xbb, 0, 0, &[])),
        ("empty DATA", opened, frame(DATA, 0, 1, &[])),
        ("CONTINUATION", frame(HEADERS, 0, 1, &[0x83]), frame(CONTINUATION, 0, 1, &[])),
    ];
    for (name, first, flood) in floods {
        assert!(ends(&server, &first, |_| flood.clone()), "{name}");
    }
    let resets = |at: u32| {
        let stream = 2 * at + 1;
        let mut pair = frame(HEADERS, END_HEADERS, stream, &call(CHECK, 0, false));
        pair.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        pair
    };
    assert!(ends(&server, &[], resets), "rapid resets");
    assert!(metric(&server, "latchd_connections_flooded_total") >= 6);
    assert_eq!(server.stderr().matches("a flood of HTTP/2 frames").count(), 1, "told once a minute");
}

/// Whether the server ends the connection within a while of a flood.
fn ends(server: &Server, first: &[u8], flood: impl Fn(u32) -> Vec<u8>) -> bool {
    const FRAMES: u32 = 20_000;
    let mut raw = Raw::open(server);
    raw.patience(Duration::from_secs(10));
    let ended = raw.drain();
    raw.send(first);
    let refused = (0..FRAMES).any(|at| raw.try_send(&flood(at)).is_err());
    refused || ended.join().expect("no panic")
}

#[test]
fn many_sequential_calls_are_no_flood() {
    let server = Spec::in_memory().start();
    let mut raw = Raw::open(&server);
    let message = frame(DATA, END_STREAM, 0, &[0; 5]);
    for at in 0..5_000_u32 {
        let stream = 2 * at + 1;
        let mut asked = frame(HEADERS, END_HEADERS, stream, &call(CHECK, 0, false));
        let mut data = message.clone();
        data[5..9].copy_from_slice(&stream.to_be_bytes());
        asked.extend(data);
        // As clients do that acknowledge each piece, and measure the line.
        asked.extend(frame(WINDOW_UPDATE, 0, 0, &64_u32.to_be_bytes()));
        asked.extend(frame(WINDOW_UPDATE, 0, stream, &64_u32.to_be_bytes()));
        raw.send(&asked);
        if at % 10 == 9 {
            raw.settle();
        }
    }
}
