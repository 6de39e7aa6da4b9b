//! `latchd mcp`, spoken to by the client of the official SDK over stdin and stdout.

use std::process::Stdio;
use std::time::Duration;

use rmcp::model::{CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, JsonObject};
use rmcp::service::{PeerRequestOptions, RoleClient, RunningService};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::lock::job::{TIMEOUT, latchd, run, url};
use crate::support::process::Server;
use crate::support::spec::Spec;

struct Agent {
    child: Child,
    client: RunningService<RoleClient, ()>,
}

impl Agent {
    async fn start(url: &str) -> Agent {
        let mut command = Command::from(latchd(url));
        command.arg("mcp").stdin(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let transport = (child.stdout.take().expect("piped"), child.stdin.take().expect("piped"));
        Agent { child, client: rmcp::serve_client((), transport).await.expect("it is initialized") }
    }

    async fn call(&self, tool: &'static str, arguments: Value) -> (bool, String) {
        let params = CallToolRequestParams::new(tool).with_arguments(object(&arguments));
        said(&self.client.call_tool(params).await.expect("an answer"))
    }

    async fn told(&self, tool: &'static str, arguments: Value, expected: &str) {
        let (ok, answer) = self.call(tool, arguments).await;
        assert!(ok && answer.contains(expected), "{tool}: {answer}");
    }

    async fn refused(&self, tool: &'static str, arguments: Value, expected: &str) -> String {
        let (ok, answer) = self.call(tool, arguments).await;
        assert!(!ok && answer.contains(expected), "{tool}: {answer}");
        answer
    }

    /// Closes stdin; whether it ends well.
    async fn end(mut self) -> bool {
        drop(self.client);
        ended(&mut self.child).await
    }

    async fn terminate(mut self) -> bool {
        let id = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it lives");
        kill_process(id, Signal::TERM).expect("signalled");
        ended(&mut self.child).await
    }
}

async fn ended(child: &mut Child) -> bool {
    let ended = tokio::time::timeout(TIMEOUT, child.wait()).await;
    ended.expect("it ends in time").expect("a status").success()
}

fn object(arguments: &Value) -> JsonObject {
    arguments.as_object().expect("an object").clone()
}

fn said(result: &CallToolResult) -> (bool, String) {
    let texts = result.content.iter().filter_map(|block| block.as_text()).map(|text| text.text.clone());
    (result.is_error != Some(true), texts.collect::<Vec<_>>().join("\n"))
}

fn held(server: &Server) -> String {
    let mut command = latchd(&url(server));
    command.args(["locks", "--output", "json"]);
    run(command).stdout
}

async fn until(what: &str, mut check: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !check() {
        assert!(begun.elapsed() < TIMEOUT, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Two agents use every tool: one is refused while the other holds.
async fn tools_answer(one: &Agent, two: &Agent) {
    let tools = one.client.list_all_tools().await.expect("tools");
    let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["acquire", "renew", "release", "list", "why"]);

    one.told("acquire", json!({"names": ["repo/a"], "note": "rename the module"}), "fencing_token").await;
    one.refused("acquire", json!({"names": ["repo/a"], "note": "again"}), "holds \"repo/a\" already").await;
    let answer = two.refused("acquire", json!({"names": ["repo/a"], "note": "n"}), "rename the module").await;
    assert!(answer.contains("Do not make the change") && answer.contains("held_for_seconds"), "{answer}");
    assert!(!answer.contains("\"key\""), "{answer}");
    two.told("why", json!({"name": "repo/a"}), "Holders: 1, waiters: 0").await;
    two.told("why", json!({"name": "free"}), "\"free\":true").await;
    one.told("list", json!({"prefix": "repo/"}), "\"is_this_agent\":true").await;
    one.told("renew", json!({"name": "repo/a", "lease_seconds": 60}), "\"lease_seconds_left\":60").await;
    two.refused("renew", json!({"name": "repo/a"}), "you do not hold").await;
    two.refused("release", json!({"name": "repo/a"}), "you do not hold").await;
    two.refused("acquire", json!({"names": ["a".repeat(5000)], "note": "n"}), "name").await;
    let long = json!({"names": ["b"], "note": "n", "wait_seconds": 601});
    two.refused("acquire", long, "wait_seconds must be at most 600").await;
}

/// One waits for the other: it leaves the queue when it is cancelled, and a cycle is refused.
async fn waits_end(server: &Server, one: &Agent, two: &Agent) {
    let arguments = json!({"names": ["repo/a"], "note": "waits", "wait_seconds": 60});
    let params = CallToolRequestParams::new("acquire").with_arguments(object(&arguments));
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let sent = two.client.send_cancellable_request(request, PeerRequestOptions::no_options()).await.expect("sent");
    until("it waits", || held(server).contains("\"queue_length\": 1")).await;
    two.refused("acquire", arguments.clone(), "waits for \"repo/a\" already").await;
    sent.cancel(None).await.expect("cancelled");
    until("it left the queue", || !held(server).contains("\"queue_length\": 1")).await;

    two.told("acquire", json!({"names": ["repo/b", "repo/c"], "note": "both"}), "repo/c").await;
    let (waited, refused) = tokio::join!(two.call("acquire", arguments), async {
        until("it waits", || held(server).contains("\"queue_length\": 1")).await;
        let cycle = json!({"names": ["repo/b"], "note": "n", "wait_seconds": 60});
        let refused = one.refused("acquire", cycle, "would be a deadlock").await;
        one.told("release", json!({"name": "repo/a"}), "released").await;
        refused
    });
    assert!(waited.0, "{}", waited.1);
    assert!(refused.contains("Release what you hold"), "{refused}");
}

/// An agent whose program neither reads answers nor ends well.
async fn unread_agent_ends(server: &Server) {
    let mut command = Command::from(latchd(&url(server)));
    let mut child = command.arg("mcp").stdin(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "unread", "version": "1"}}});
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let acquire = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "acquire", "arguments": {"names": ["unread"], "note": "n"}}});
    let mut sent = format!("{initialize}\n{initialized}\nno JSON\n{acquire}\n");
    for id in 2..60 {
        sent += &format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": "tools/list"}));
    }
    stdin.write_all(sent.as_bytes()).await.expect("written");
    until("it holds", || held(server).contains("unread")).await;
    drop(stdin);
    assert!(ended(&mut child).await);
    assert!(!held(server).contains("unread"));
}

/// Writes a line as nobody would who means well.
async fn send(stdin: &mut tokio::process::ChildStdin, line: &[u8]) {
    stdin.write_all(line).await.expect("written");
    stdin.write_all(b"\n").await.expect("written");
}

/// Messages that are too long, half or none do no harm to those that follow.
async fn hostile_lines_are_passed_over(server: &Server) {
    let mut command = Command::from(latchd(&url(server)));
    let mut child = command.arg("mcp").stdin(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
    let (mut stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "hostile", "version": "1"}}});
    send(&mut stdin, initialize.to_string().as_bytes()).await;
    send(&mut stdin, br#"{"jsonrpc": "2.0", "method": "notifications/initialized"}"#).await;
    let mebibyte = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        stdin.write_all(&mebibyte).await.expect("written");
    }
    send(&mut stdin, b"").await;
    for line in
        [&br#"{"jsonrpc": "2.0", "id": 7, "method": "tools/ca"#[..], b"[]", b"\xff\xfe\0", b"{}", &[b'['; 100_000]]
    {
        send(&mut stdin, line).await;
    }
    let ping = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"});
    send(&mut stdin, ping.to_string().as_bytes()).await;
    let mut lines = tokio::io::BufReader::new(stdout).lines();
    let answered = async {
        while let Some(line) = lines.next_line().await.expect("stdout") {
            let message: Value = serde_json::from_str(&line).expect("nothing but messages goes to stdout");
            if message["id"] == 9 {
                return;
            }
        }
        panic!("it ended");
    };
    tokio::time::timeout(TIMEOUT, answered).await.expect("it answers what comes after");
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", child.id().expect("it lives"))).expect("its status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kib < 80_000, "a line of 100 MiB is not kept: {kib} KiB");
    stdin.write_all(br#"{"jsonrpc": "2.0", "id": 10, "meth"#).await.expect("half a line");
    drop(stdin);
    assert!(ended(&mut child).await);
}

/// Names that would change what a terminal or a log shows, and tools that there are not.
async fn hostile_calls_are_refused(agent: &Agent) {
    for tool in ["force", "", "acquire\u{1b}[2J", "__proto__"] {
        let refused = agent.client.call_tool(CallToolRequestParams::new(tool)).await.expect_err("no such tool");
        let told = refused.to_string();
        assert!(told.contains("there is no tool") && !told.contains('\u{1b}'), "{told}");
    }
    for name in ["a\0b", "a\u{1b}[2Jb", "a\nb", "a\u{202e}b"] {
        for (tool, arguments) in [
            ("why", json!({"name": name})),
            ("release", json!({"name": name})),
            ("acquire", json!({"names": [name], "note": "n"})),
            ("list", json!({"prefix": name})),
        ] {
            let (ok, answer) = agent.call(tool, arguments).await;
            if ok && tool == "acquire" {
                // It is told the names as it gave them.
                continue;
            }
            let hidden = answer.chars().find(|c| c.is_control() || *c == '\u{202e}');
            assert_eq!(hidden, None, "{tool} {name:?}: {answer}");
        }
        agent.call("release", json!({"name": name})).await;
    }
}

/// A killed process holds nothing for long: its session ends, and a waiter gets the lock. Then the service goes away.
async fn killed_agent_loses_its_locks_and_a_lost_service_is_told() {
    let idle = "[sessions]\nidle_timeout = \"2s\"\n";
    let mut server = Spec::in_memory().configuration(idle).start();
    let url = url(&server);
    let (mut killed, waits) = tokio::join!(Agent::start(&url), Agent::start(&url));
    killed.told("acquire", json!({"names": ["repo/k", "repo/l"], "note": "n"}), "fencing_token").await;
    let short = json!({"names": ["repo/k"], "note": "n", "wait_seconds": 4});
    waits.refused("acquire", short, "The wait ended without the lock").await;
    killed.child.kill().await.expect("killed");
    waits.told("acquire", json!({"names": ["repo/l", "repo/k"], "note": "n", "wait_seconds": 60}), "repo/k").await;
    server.kill();
    let answer = waits.refused("renew", json!({"name": "repo/k"}), "cannot be reached").await;
    assert!(answer.contains("You no longer hold"), "the session has ended while it was asked: {answer}");
    waits.refused("release", json!({"name": "repo/k"}), "you do not hold").await;
    assert!(!waits.end().await, "the session could not be ended, which the exit code tells");
}

async fn frozen_lock_is_told(server: &Server, agent: &Agent) {
    let mut command = latchd(&url(server));
    command.args(["freeze", "frozen/", "--prefix", "--reason", "release 7", "--for", "1h"]);
    assert_eq!(run(command).code, Some(0));
    let answer = agent.refused("acquire", json!({"names": ["frozen/a"], "note": "n"}), "release 7").await;
    assert!(answer.contains("An operator has frozen it"), "{answer}");
    let (ok, answer) = agent.call("why", json!({"name": "frozen/a"})).await;
    assert!(ok && answer.contains("release 7") && answer.contains("\"free\":false"), "{answer}");
}

async fn unreachable_service_is_told() {
    let agent = Agent::start("http://127.0.0.1:1").await;
    let acquire = json!({"names": ["a"], "note": "n"});
    let answer = agent.refused("acquire", acquire, "cannot be reached").await;
    assert!(answer.contains("do not make the change"), "{answer}");
    assert!(agent.end().await, "there is nothing to release");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_share_locks_until_they_release_cancel_or_end() {
    let server = Spec::in_memory().start();
    let agents = async {
        let url = url(&server);
        let (one, two) = tokio::join!(Agent::start(&url), Agent::start(&url));
        tools_answer(&one, &two).await;
        waits_end(&server, &one, &two).await;
        hostile_calls_are_refused(&one).await;
        frozen_lock_is_told(&server, &one).await;
        let peer = one.client.peer().clone();
        let params = CallToolRequestParams::new("acquire")
            .with_arguments(object(&json!({"names": ["repo/a"], "note": "waits", "wait_seconds": 60})));
        let waiting = tokio::spawn(async move { peer.call_tool(params).await });
        until("it waits", || held(&server).contains("\"queue_length\": 1")).await;
        assert!(one.end().await, "stdin ends while a call waits");
        waiting.abort();
        assert!(!held(&server).contains("\"queue_length\": 1"));
        assert!(two.terminate().await, "a signal comes while locks are held");
        let left = held(&server);
        assert!(!left.contains("repo/"), "{left}");
    };
    tokio::join!(
        agents,
        unread_agent_ends(&server),
        unreachable_service_is_told(),
        hostile_lines_are_passed_over(&server),
        killed_agent_loses_its_locks_and_a_lost_service_is_told(),
    );
}
