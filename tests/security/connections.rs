//! Connections have bounds, in all and for one address, and probes are answered beyond them.

use std::net::{IpAddr, Ipv4Addr, TcpStream};

use latchd::api::grpc::proto::{HealthCheckRequest, HealthCheckResponse};
use latchd::dialects::ldlm::proto::{LockResponse, TryLockRequest};

use crate::dialects::dialect_client::until;
use crate::support::client::{Client, Wire};
use crate::support::frames::{connect_from, get_from};
use crate::support::grpc::{GrpcClient, refusal};
use crate::support::process::Server;
use crate::support::spec::Spec;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const FURTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
const CHECK: &str = "/grpc.health.v1.Health/Check";

fn limited(settings: &str) -> Server {
    // Silent connections stay for as long as the test takes.
    Spec::in_memory()
        .configuration(format!("[server]\nheader_timeout = \"5m\"\nprobe_listen = \"http://127.0.0.1:0\"\n{settings}"))
        .start()
}

/// Opens so many connections that say nothing.
fn fill_up(server: &Server, from: IpAddr, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| connect_from(server.http(), from)).collect()
}

/// The same, and waits until the server has them all.
fn fill(server: &Server, from: IpAddr, count: usize) -> Vec<TcpStream> {
    let silent = fill_up(server, from, count);
    until("the connections to be taken", || open(server) == count);
    silent
}

/// How many connections there are, as the listener for probes tells without being one of them.
fn open(server: &Server) -> usize {
    let (_, at) = server.first_line().split_once(" and probes on http://").expect("named in the first line");
    let metrics = get_from(at.trim().parse().expect("an address"), HERE, "/metrics", "");
    let line = metrics.lines().find_map(|line| line.strip_prefix("latchd_connections ")).expect("a line");
    line.trim().parse::<usize>().expect("a number") - 1
}

/// Whether probes are answered over every transport, and nothing else is.
fn only_probes_are_answered(server: &Server, key: &str) {
    for path in ["/livez", "/readyz"] {
        assert!(get_from(server.http(), HERE, path, "").starts_with("HTTP/1.1 200"), "{path}");
        assert_eq!(Client::tls(server).get(path).status, 200, "{path}");
    }
    let told = get_from(server.http(), HERE, "/docs", "");
    assert!(told.starts_with("HTTP/1.1 503") && told.contains(key) && told.contains("connection: close"), "{told}");
    for wire in [Wire::Plain, Wire::Tls] {
        let answer: HealthCheckResponse =
            GrpcClient::new(server, wire).call(CHECK, HealthCheckRequest::default()).expect("a probe");
        assert_eq!(answer.status, 1, "serving");
    }
    let calls = GrpcClient::plain(server);
    let locked: Result<LockResponse, _> = calls.call("/ldlm.LDLM/TryLock", TryLockRequest::default());
    assert!(refusal(locked).1.contains(key));
}

#[test]
fn probes_are_answered_when_all_connections_are_taken() {
    let server = limited("connections_max = 6\n");
    let silent = [ELSEWHERE, FURTHER].map(|from| fill_up(&server, from, 3));
    until("the connections to be taken", || open(&server) == 6);
    only_probes_are_answered(&server, "server.connections_max");
    assert_eq!(server.stderr().matches("server.connections_max is reached").count(), 1, "told once a minute");
    drop(silent);
    until("a place to be free", || get_from(server.http(), HERE, "/docs", "").starts_with("HTTP/1.1 200"));
}

#[test]
fn address_is_held_to_its_share_of_connections() {
    let server = limited("connections_per_address_max = 5\n");
    let _silent = fill(&server, HERE, 5);
    only_probes_are_answered(&server, "server.connections_per_address_max");
    assert!(get_from(server.http(), ELSEWHERE, "/docs", "").starts_with("HTTP/1.1 200"), "another address");
    let metrics = get_from(server.http(), ELSEWHERE, "/metrics", "");
    let counted = r#"latchd_limit_refusals_total{limit="server.connections_per_address_max"} 0"#;
    assert!(metrics.contains("latchd_limit_refusals_total") && !metrics.contains(counted), "{metrics}");
}

#[test]
fn one_address_has_half_of_few_connections_at_most() {
    let server = limited("connections_max = 8\n");
    let _silent = fill(&server, HERE, 4);
    only_probes_are_answered(&server, "server.connections_per_address_max");
    assert!(get_from(server.http(), ELSEWHERE, "/docs", "").starts_with("HTTP/1.1 200"), "another address");
}

#[test]
fn excess_connections_free_the_probe_places() {
    let server = limited("connections_per_address_max = 2\n");
    let _silent = fill(&server, HERE, 2);
    // Far more than there are places for probes: they are closed after a moment.
    let _more: Vec<TcpStream> = (0..40).map(|_| connect_from(server.http(), HERE)).collect();
    until("a probe to be answered", || get_from(server.http(), HERE, "/livez", "").starts_with("HTTP/1.1 200"));
    assert!(get_from(server.http(), ELSEWHERE, "/docs", "").starts_with("HTTP/1.1 200"), "another address");
}

#[test]
fn trusted_proxy_may_use_all_connections() {
    let configuration = "[server]\nconnections_per_address_max = 2\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let server = Spec::in_memory().configuration(configuration).argument("--allow-anonymous").start();
    let _silent: Vec<TcpStream> = (0..10).map(|_| connect_from(server.http(), HERE)).collect();
    assert!(get_from(server.http(), HERE, "/docs", "x-forwarded-for: 192.0.2.1\r\n").starts_with("HTTP/1.1 200"));
}
