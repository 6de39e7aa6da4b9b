//! Connections leave files for what is none: a snapshot that cannot be opened would end the process. So do workers.

use std::net::{Ipv4Addr, TcpStream};

use serde_json::json;

use crate::dialects::dialect_client::until;
use crate::support::client::Client;
use crate::support::frames::connect_from;
use crate::support::spec::Spec;

#[test]
fn snapshot_is_written_when_connections_exhaust_file_descriptors() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = "[server]\nheader_timeout = \"5m\"\n[storage]\nsnapshot_log_bytes = 20000\n";
    let mut server = Spec::durable(directory.path()).configuration(settings).open_files(200).start();
    let mut client = Client::plain(&server);
    let body = json!({"resource": "a", "metadata": {"text": "t".repeat(200)}}).to_string();
    assert_eq!(client.send("POST", "/lock", body.as_bytes()).status, 200);
    let _silent: Vec<TcpStream> = (0..400).map(|_| connect_from(server.http(), Ipv4Addr::LOCALHOST.into())).collect();
    let said = server.stderr();
    assert!(said.contains("200 open files") && said.contains("server.connections_max = 10000"), "{said}");
    let mut names = 0..;
    until("a snapshot", || {
        for name in names.by_ref().take(50) {
            let body = json!({"resource": format!("lock {name}")}).to_string();
            client.send("POST", "/lock", body.as_bytes());
        }
        assert!(server.ended().is_none(), "{}", server.stderr());
        let metrics = client.get("/metrics").text();
        metrics.lines().any(|line| line.starts_with("latchd_log_snapshot_index ") && !line.ends_with(" 0"))
    });
}

#[test]
fn workers_without_files_refuse_the_start() {
    let started = Spec::in_memory().environment("LATCHD_SERVER_THREADS", 64).open_files(64).try_start();
    let output = started.err().expect("a refusal");
    let is_advice = output.contains("64 worker threads of server.threads") && output.contains("ulimit -n");
    assert!(is_advice && !output.contains("listening on"), "{output}");
}
