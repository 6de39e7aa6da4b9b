//! What operators do, and whom the service turned away, is in the audit file: once each, with nothing that opens anything.

use super::rights::{KEY, PART, keys, metric, with};
use super::verbs::Caller;
use super::verbs::console::{do_by_hand, waiter};
use crate::support::audit::{Trail, done};
use crate::support::client::Client;
use crate::support::http::Response;
use crate::support::process::Server;
use crate::support::redis::{RedisClient, Reply};
use crate::support::spec::Spec;
use latchd::audit::Action;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

const HOSTILE: &str = "a\nb\r\u{7}\u{2028}\"\\\u{fffd}{}é";
const HOSTILE_IN_QUERY: &str = "a%0Ab%0D%07%E2%80%A8%22%5C%EF%BF%BD%7B%7D%C3%A9";
const PROXIED: &str = "203.0.113.9";

/// Takes a lock: its key.
fn take(client: &mut Client, asked: &Value) -> String {
    let answer = client.post("/v1/lock", asked);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["key"].as_str().expect("a key").to_owned()
}

fn in_session(server: &Server, secret: &str) -> Client {
    let mut client = with(server, secret);
    assert_eq!(client.post("/session", &json!({})).status, 201);
    client
}

/// Asks for every act that there is; the keys and cookies that it came by.
fn do_all(server: &Server, admin: &mut Client) -> Vec<String> {
    let mut holder = in_session(server, PART);
    let lock = |name: &str| json!({"name": name, "lock_timeout_seconds": 600});
    let mut owner = in_session(server, KEY);
    let key = take(&mut owner, &lock(HOSTILE));
    let force = format!("/v1/holds?name={HOSTILE_IN_QUERY}&key={key}&reason=stuck%0A%22%7D");
    assert_eq!(admin.delete(&force).status, 200);
    assert_eq!(admin.delete(&force).status, 404, "it is not begun: there is no such hold");
    take(&mut owner, &json!({"name": "many", "size": 2}));
    assert_eq!(admin.send("PUT", "/v1/locks/many/size", b"{\"size\": 3}").status, 200);
    take(&mut owner, &lock("leased"));
    assert_eq!(RedisClient::with_key(server, KEY).ask(&["PEXPIRE", "leased", "90000"]), Reply::Integer(1));
    let backup = admin.get("/v1/backup");
    assert_eq!(backup.status, 200);
    let member = json!({"node": 4, "address": "https://10.0.0.4:9443"});
    for answer in [
        admin.post("/v1/cluster/members", &member),
        admin.post("/v1/cluster/members/4/promote", &json!({})),
        admin.delete("/v1/cluster/members/4"),
    ] {
        assert!(matches!(answer.status, 404 | 409), "it runs alone: {}", answer.text());
    }
    do_in_console(server, admin);
    let freeze = json!({"reason": "moving", "for_seconds": 60});
    assert_eq!(admin.send("PUT", "/v1/freezes/frozen", freeze.to_string().as_bytes()).status, 200);
    assert_eq!(admin.delete("/v1/freezes/frozen").status, 200);
    let cookie = holder.cookie("ldlm-session").expect("a cookie").to_owned();
    let mut thief = with(server, KEY);
    thief.set_cookie("ldlm-session", &cookie);
    assert_eq!(thief.delete("/session").status, 200);
    // One of its own is no act of an operator.
    assert_eq!(owner.delete("/session").status, 200);
    assert_eq!(holder.delete("/session").status, 409, "it is closed");
    vec![KEY.to_owned(), PART.to_owned(), key, cookie]
}

/// The acts that only the console has.
fn do_in_console(server: &Server, admin: &mut Client) {
    let (handle, _) = waiter(&mut Caller::new(server, Some(KEY)), "queued");
    assert!(do_by_hand(admin, "drop-waiter", &format!("name=queued&waiter={handle}")));
    assert!(do_by_hand(admin, "take", "name=by-hand"));
    let token = admin.get("/v1/locks/by-hand").json()["holders"][0]["fencing_token"].to_string();
    assert!(do_by_hand(admin, "give-back", &format!("name=by-hand&token={token}")));
}

#[test]
fn every_act_has_two_lines_that_say_who_where_what_and_why() {
    let trail = Trail::new();
    let configuration =
        format!("{}[server]\ntrusted_proxies = [\"127.0.0.1\"]\n{}", keys(), trail.configuration("refuse", "64KiB"));
    let server = Spec::in_memory().redis().api_key(KEY).configuration(configuration).start();
    let mut admin = with(&server, KEY).with_header("X-Forwarded-For", PROXIED).with_header("X-Request-Id", "req-1");
    let secrets = do_all(&server, &mut admin);
    assert_eq!(with(&server, "a wrong one").with_header("X-Forwarded-For", PROXIED).get("/v1/locks").status, 401);
    let lines = trail.lines();
    let (acts, refused): (Vec<&Value>, Vec<&Value>) = lines.iter().partition(|line| line["act"].is_string());
    let known: BTreeSet<&str> = acts.iter().filter_map(|line| line["action"].as_str()).collect();
    assert_eq!(known, Action::ALL.iter().map(|action| action.name()).collect(), "each act that there is");
    assert_eq!(acts.len(), 2 * Action::ALL.len());
    for pair in acts.chunks(2) {
        let [intent, outcome] = pair else { panic!("{pair:?}") };
        assert_eq!((&intent["stage"], &outcome["stage"]), (&json!("intent"), &json!("outcome")));
        assert_eq!((&intent["act"], &intent["target"]), (&outcome["act"], &outcome["target"]));
        assert_eq!((&intent["who"], &intent["role"]), (&json!("command-line-key-1"), &json!("admin")));
    }
    let of = |action: &str| done(&lines, action).unwrap_or_else(|| panic!("{action} in {lines:?}")).clone();
    let forced = of("force-release");
    assert_eq!(&forced["target"]["lock"], &json!(HOSTILE));
    assert_eq!((&forced["reason"], &forced["from"]), (&json!("stuck\n\"}"), &json!(PROXIED)));
    assert!(forced["request_id"] == "req-1" && forced["target"]["token"].is_u64(), "{forced}");
    assert_eq!(
        (&of("resize")["target"], &of("force-lease")["target"]["lease_ms"]),
        (&json!({"lock": "many", "size": 3}), &json!(90000))
    );
    assert_eq!(
        (of("add-member")["outcome"].clone(), of("add-member")["error"].clone()),
        (json!("refused"), json!("runs-alone"))
    );
    let [refused] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((&refused["stage"], &refused["from"]), (&json!("refused-credential"), &json!(PROXIED)));
    let text = trail.text();
    assert!(!secrets.iter().any(|secret| text.contains(secret.as_str())) && !text.contains("a wrong one"), "{text}");
    assert_eq!(metric(&server, "latchd_audit_lines_total{result=\"written\"}"), lines.len() as f64);
}

#[test]
fn own_take_of_a_client_and_what_is_refused_leave_no_line() {
    let trail = Trail::new();
    let configuration = keys() + &trail.configuration("refuse", "64KiB");
    let server = Spec::in_memory().redis().api_key(KEY).configuration(configuration).start();
    let (mut admin, mut part) = (with(&server, KEY), with(&server, PART));
    let token =
        |client: &mut Client| client.get("/v1/locks/part%2Fown").json()["holders"][0]["fencing_token"].to_string();
    let too_long = format!("name=part%2F{}", "x".repeat(9_000));
    take(&mut in_session(&server, PART), &json!({"name": "part/held", "lock_timeout_seconds": 600}));
    assert!(do_by_hand(&mut part, "take", "name=part%2Fown"));
    let query = format!("name=part%2Fown&token={}", token(&mut admin));
    assert!(do_by_hand(&mut part, "give-back", &query));
    for client in [&mut part, &mut admin] {
        for query in [&*too_long, "name=part%2F%00", "name=part%2Fheld"] {
            assert!(!do_by_hand(client, "take", query));
        }
    }
    for (method, target, body) in [
        ("DELETE", "/v1/freezes/none?reason=test", ""),
        ("PUT", "/v1/locks/none/size", "{\"size\": 3}"),
        ("PUT", "/v1/locks/part%2Fheld/size", "{\"size\": 3}"),
    ] {
        assert!((400..500).contains(&admin.send(method, target, body.as_bytes()).status), "{target}");
    }
    let forever = RedisClient::with_key(&server, KEY).ask(&["PEXPIRE", "part/held", "999999999999"]);
    assert!(matches!(forever, Reply::Error(_)), "{forever:?}");
    assert_eq!(trail.text(), "");
    assert!(do_by_hand(&mut admin, "take", "name=part%2Fown") && done(&trail.lines(), "take").is_some());
    let log = server.stop().stderr;
    assert!(log.contains("credentials in force: 4 of access.keys; 1 of the "), "{log}");
    assert!(log.contains("took \"part/own\" by hand") && log.matches("by hand").count() == 1, "{log}");
}

/// A lock that is held, and the request that ends its hold by force.
fn stuck(server: &Server, name: &str) -> String {
    let key = take(&mut in_session(server, KEY), &json!({"name": name, "lock_timeout_seconds": 600}));
    format!("/v1/holds?name={name}&key={key}&reason=stuck")
}

fn force(server: &Server, target: &str) -> Response {
    with(server, KEY).delete(target)
}

#[test]
fn unwritable_file_refuses_acts_or_lets_them_go_on_and_nothing_else() {
    for (on_failure, expected) in [("refuse", 503), ("continue", 200)] {
        let trail = Trail::new();
        let configuration = keys() + &trail.configuration(on_failure, "64KiB");
        let server = Spec::in_memory().api_key(KEY).configuration(configuration).start();
        let target = stuck(&server, "one");
        trail.remove_directory();
        let answer = force(&server, &target);
        assert_eq!(answer.status, expected, "{}", answer.text());
        if on_failure == "refuse" {
            let told = answer.json();
            assert_eq!((&told["code"], &told["config_key"]), (&json!("audit-unwritten"), &json!("audit.on_failure")));
            assert_eq!(with(&server, KEY).get("/v1/locks/one").status, 200, "nothing was done");
        }
        assert_eq!(with(&server, "wrong").get("/v1/locks").status, 401);
        stuck(&server, "two");
        assert!(metric(&server, "latchd_audit_lines_total{result=\"failed\"}") >= 2.0);
        trail.make_directory();
        let target = stuck(&server, "three");
        assert_eq!(force(&server, &target).status, 200);
        assert!(done(&trail.lines(), "force-release").is_some(), "{}", trail.text());
        assert!(server.stop().stderr.contains("a line of the audit log cannot be written: No such file"));
    }
}

/// The operations of the document whose errors name a code.
fn that_declare(server: &Server, code: &str) -> BTreeSet<String> {
    let document = Client::plain(server).get("/openapi.json").json();
    let paths = document["paths"].as_object().expect("paths").iter();
    let operations = paths.flat_map(|(path, methods)| {
        methods.as_object().expect("methods").iter().map(move |(method, operation)| (method, path, operation))
    });
    let declares = |operation: &Value| operation["responses"].to_string().contains(code);
    operations
        .filter(|(.., operation)| declares(operation))
        .map(|(method, path, _)| format!("{} {path}", method.to_uppercase()))
        .collect()
}

#[test]
fn every_act_of_the_api_declares_that_the_audit_log_may_be_unwritable() {
    let trail = Trail::new();
    let terraform = "[terraform]\nforce_unlock = true\n";
    let configuration = keys() + terraform + &trail.configuration("refuse", "64KiB");
    let server = Spec::in_memory().api_key(KEY).configuration(configuration).start();
    let (mut owner, mut admin) = (in_session(&server, KEY), with(&server, KEY));
    let mut thief = with(&server, KEY);
    thief.set_cookie("ldlm-session", in_session(&server, PART).cookie("ldlm-session").expect("a cookie"));
    let key = take(&mut owner, &json!({"name": "a", "size": 2}));
    assert_eq!(admin.post("/terraform/t/lock", &json!({"ID": "i"})).status, 200);
    let freeze = r#"{"reason": "x", "for_seconds": 60}"#;
    for target in ["/v1/freezes/b", "/v1/freezes?target=c"] {
        assert_eq!(admin.send("PUT", target, freeze.as_bytes()).status, 200);
    }
    trail.remove_directory();
    let member = r#"{"node": 4, "address": "https://10.0.0.4:9443"}"#;
    let acts = [
        ("DELETE /v1/holds", format!("/v1/holds?name=a&key={key}&reason=x"), ""),
        ("DELETE /v1/locks/{name}/holds/{key}", format!("/v1/locks/a/holds/{key}?reason=x"), ""),
        ("PUT /v1/locks/{name}/size", "/v1/locks/a/size".to_owned(), r#"{"size": 3}"#),
        ("PUT /v1/size", "/v1/size?name=a".to_owned(), r#"{"size": 3}"#),
        ("PUT /v1/freezes/{target}", "/v1/freezes/d".to_owned(), freeze),
        ("PUT /v1/freezes", "/v1/freezes?target=d".to_owned(), freeze),
        ("DELETE /v1/freezes/{target}", "/v1/freezes/b".to_owned(), ""),
        ("DELETE /v1/freezes", "/v1/freezes?target=c".to_owned(), ""),
        ("GET /v1/backup", "/v1/backup".to_owned(), ""),
        ("POST /v1/cluster/members", "/v1/cluster/members".to_owned(), member),
        ("POST /v1/cluster/members/{node}/promote", "/v1/cluster/members/4/promote".to_owned(), ""),
        ("DELETE /v1/cluster/members/{node}", "/v1/cluster/members/4".to_owned(), ""),
        ("DELETE /terraform/{name}", "/terraform/t".to_owned(), ""),
        ("POST /terraform/{name}/unlock", "/terraform/t/unlock".to_owned(), ""),
        ("DELETE /session", "/session".to_owned(), ""),
    ];
    for (operation, target, body) in &acts {
        let caller = if *operation == "DELETE /session" { &mut thief } else { &mut admin };
        let method = operation.split(' ').next().expect("a method");
        let answer = caller.send(method, target, body.as_bytes());
        assert_eq!(answer.status, 503, "{operation}: {}", answer.text());
        assert!(answer.text().contains("audit-unwritten"), "{operation}: {}", answer.text());
    }
    assert_eq!(that_declare(&server, "audit-unwritten"), acts.map(|(operation, ..)| operation.to_owned()).into());
}

#[test]
fn flood_of_wrong_credentials_leaves_few_lines_and_their_number() {
    let trail = Trail::new();
    let configuration =
        format!("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n{}", trail.configuration("refuse", "8KiB"));
    let server = Spec::in_memory().api_key(KEY).configuration(configuration).start();
    let mut guesser = Client::plain(&server);
    for number in 0..600 {
        let from = format!("198.51.{}.{}", number / 200, number % 200);
        let own = [("X-API-Key", "guess"), ("X-Forwarded-For", &*from)];
        assert_eq!(guesser.try_send_with("GET", "/v1/locks", &own, b"").expect("an answer").status, 401);
    }
    let [written, left_out] = ["written", "left_out"]
        .map(|result| metric(&server, &format!("latchd_audit_lines_total{{result=\"{result}\"}}")));
    assert_eq!((written, left_out), (200.0, 400.0));
    let rotated = fs::metadata(trail.file().with_file_name("audit.log.1")).expect("it was rotated").len();
    assert!((6 << 10..=8 << 10).contains(&rotated), "{rotated}");
    assert!(fs::metadata(trail.file()).expect("it is there").len() <= 8 << 10);
}

#[test]
fn audit_file_that_cannot_be_used_is_refused_at_the_start() {
    let trail = Trail::new();
    let spec = Spec::in_memory().configuration(trail.configuration("continue", "64KiB"));
    let _first = spec.start();
    let Err(output) = spec.try_start() else { panic!("two processes write one file") };
    assert!(output.contains("audit.file") && output.contains("another process writes to it"), "{output}");
    let missing = Trail::new();
    missing.remove_directory();
    let Err(output) = Spec::in_memory().configuration(missing.configuration("continue", "64KiB")).try_start() else {
        panic!("it started without its directory")
    };
    assert!(output.contains("audit.file") && output.contains("No such file or directory"), "{output}");
}

#[test]
fn without_a_file_the_lines_are_in_the_log_whatever_its_level() {
    let server = Spec::in_memory().api_key(KEY).argument("--log-level").argument("error").start();
    let target = stuck(&server, "one");
    assert_eq!(force(&server, &target).status, 200);
    let log = server.stop().stderr;
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| line.split_once(" INFO audit "))
        .map(|(_, json)| serde_json::from_str(json).expect("JSON"))
        .collect();
    assert_eq!(done(&lines, "force-release").map(|line| &line["target"]["lock"]), Some(&json!("one")), "{log}");
}
