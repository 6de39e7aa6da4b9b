//! `latchd watch`: a line for each event, even across the end of a server.

use super::lock::job::{Job, latchd, run, url};
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;
use rustix::process::Signal;
use serde_json::{Value, json};

fn with_session(server: &Server) -> Client {
    let mut client = Client::plain(server);
    assert_eq!(client.post("/session", &json!({})).status, 201);
    client
}

fn lock(client: &mut Client, name: &str) -> Value {
    let taken = client.post("/v1/lock", &json!({"name": name, "lock_timeout_seconds": 60})).json();
    assert_eq!(taken["locked"], true, "{taken}");
    taken
}

fn unlock(client: &mut Client, taken: &Value) {
    let body = json!({"name": taken["name"], "key": taken["key"]});
    assert_eq!(client.post("/v1/unlock", &body).json()["unlocked"], true);
}

#[test]
fn watch_prints_current_holders_then_events() {
    let server = Spec::in_memory().start();
    let mut client = with_session(&server);
    let taken = lock(&mut client, "deploy");
    let freeze = json!({"reason": "release 7", "for_seconds": 60}).to_string();
    assert_eq!(client.send("PUT", "/v1/freezes?target=deploy", freeze.as_bytes()).status, 200);
    let mut job = Job::start(latchd(&url(&server)).args(["watch", "deploy"]));
    let (held, frozen) = (job.line(), job.line());
    let token = &taken["fencing_token"];
    assert!(held.starts_with(&format!("held           deploy  token {token}  for ")), "{held}");
    let told = frozen.starts_with("frozen         \"deploy\" is frozen until 20") && frozen.ends_with("Z: release 7");
    assert!(told, "{frozen}");
    assert_eq!(client.delete("/v1/freezes?target=deploy&reason=done").status, 200);
    assert_eq!(job.line(), "thawed         deploy  by an operator  it was frozen for: release 7");
    unlock(&mut client, &taken);
    let released = job.line();
    assert!(released.starts_with(&format!("released       deploy  token {token}  session ")), "{released}");
    lock(&mut client, "elsewhere");
    lock(&mut client, "deploy");
    assert!(job.line().starts_with("granted        deploy  token "));
    job.signal(Signal::INT);
    assert_eq!(job.end().code, None, "ended by the signal");
}

#[test]
fn watch_prints_json_lines_and_resumes_after_id() {
    let server = Spec::in_memory().start();
    let mut client = with_session(&server);
    let watch = |more: &[&str]| {
        let mut command = latchd(&url(&server));
        command.args(["watch", "--prefix", "a", "--output", "json"]).args(more);
        Job::start(&mut command)
    };
    let next = |job: &mut Job| serde_json::from_str::<Value>(&job.line()).expect("JSON");
    let mut job = watch(&[]);
    assert_eq!(next(&mut job)["event"], "state");
    let taken = lock(&mut client, "a/1");
    unlock(&mut client, &taken);
    let (granted, released) = (next(&mut job), next(&mut job));
    assert_eq!((&granted["event"], &granted["name"]), (&json!("granted"), &json!("a/1")));
    let mut again = watch(&["--after", granted["id"].as_str().expect("an id")]);
    assert_eq!(next(&mut again)["event"], "started");
    assert_eq!(next(&mut again), released);
}

#[test]
fn watch_outlasts_a_restart_of_the_service() {
    let home = tempfile::tempdir().expect("a directory");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|held| held.local_addr()).expect("a port").port();
    let fixed = format!("http://127.0.0.1:{port}");
    let spec = Spec::durable(home.path()).argument("--listen").argument(&fixed);
    let server = spec.start();
    let mut client = with_session(&server);
    lock(&mut client, "before");
    let mut job = Job::start(latchd(&format!("http://127.0.0.1:1,{fixed}")).args(["watch", "--prefix", ""]));
    assert!(job.line().starts_with("held           before"));
    assert!(server.stop().status.success());
    let server = spec.start();
    let mut client = with_session(&server);
    lock(&mut client, "after");
    let line = job.line();
    assert!(line.starts_with("granted        after"), "{line}");
    job.signal(Signal::TERM);
    let ended = job.end();
    assert!(ended.stderr.contains("the service ended the stream: shutting-down"), "{}", ended.stderr);
}

#[test]
fn killed_node_is_reported_as_lost_connection() {
    let mut server = Spec::in_memory().start();
    let mut client = with_session(&server);
    lock(&mut client, "held");
    let urls = [format!("https://{}", server.https()), url(&server)];
    let mut jobs = urls.clone().map(|url| Job::start(latchd(&url).args(["watch", "held"])));
    for job in &mut jobs {
        assert!(job.line().starts_with("held "));
    }
    server.kill();
    for (job, url) in jobs.iter().zip(urls) {
        super::lock::job::wait_until("a word", || job.said().contains('\n'));
        let told =
            format!("latchd: the connection to {url}/v1/events was lost; asking the next node, to go on from there\n");
        assert!(job.said().starts_with(&told), "{}", job.said());
        assert!(!job.said().contains("docs.rs"), "{}", job.said());
    }
}

#[test]
fn refused_watch_sets_exit_code_and_reports_reason() {
    let server = Spec::in_memory().api_key("secret").start();
    let code = |url: &str, arguments: &[&str]| {
        let mut command = latchd(url);
        command.arg("watch").args(arguments);
        let ended = run(command);
        (ended.code, ended.stderr)
    };
    let (refused, why) = code(&url(&server), &["a"]);
    assert_eq!(refused, Some(77), "{why}");
    assert!(why.contains("a password or an API key is needed"), "{why}");
    let (refused, why) = code(&url(&server), &["a", "--api-key", "secret", "--after", "yesterday"]);
    assert_eq!(refused, Some(77), "{why}");
    assert!(why.contains("4711-1"), "{why}");
    assert_eq!(code("http://127.0.0.1:1", &["a"]).0, Some(69));
    assert_eq!(code("ftp://127.0.0.1", &["a"]).0, Some(78));
    assert_eq!(code(&url(&server), &["a", "--prefix", "b"]).0, Some(2));
}
