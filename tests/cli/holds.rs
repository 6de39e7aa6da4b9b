//! `latchd locks`, `latchd sessions` and `latchd unlock` against the binary.

use super::operate::{KEY, operate, refused, server};
use crate::dialects::dialect_client::until;
use crate::support::client::Client;
use crate::support::process::{Server, run_to_end};
use crate::support::spec::Spec;
use serde_json::{Value, json};

/// A client with a session.
pub fn worker(server: &Server) -> Client {
    let mut client = Client::tls(server).with_header("X-API-Key", KEY);
    assert_eq!(client.send("POST", "/session", b"").status, 201);
    client
}

/// Acquires a lock; returns its key and fencing token.
pub fn take(client: &mut Client, asked: Value) -> (String, u64) {
    let taken = client.post("/v1/lock", &asked).json();
    let key = taken["key"].as_str().filter(|_| taken["locked"] == true).unwrap_or_else(|| panic!("{taken}"));
    (key.to_owned(), taken["fencing_token"].as_u64().expect("a token"))
}

/// The text with each duration below ten seconds written as `0.0s`.
fn steady(text: &str) -> String {
    let is_short = |word: &str| {
        let digits = word.strip_suffix('s').and_then(|word| word.split_once('.'));
        digits.is_some_and(|(whole, tenths)| whole.len() == 1 && tenths.len() == 1)
    };
    let word = |word| if is_short(word) { "0.0s" } else { word };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The session of the only waiter for `deploy/production`.
fn shown_waiter(server: &Server) -> String {
    let shown = operate(server, &["locks", "deploy/production", "--output", "json"]).stdout;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let waiter = &shown["locks"][0]["waiters"][0];
    assert_eq!((&waiter["position"], &waiter["dialect"]), (&json!(0), &json!("sessions-v1")), "{shown}");
    assert!(waiter["remaining_seconds"].as_f64().is_some_and(|left| (3_600.0..=3_630.0).contains(&left)), "{waiter}");
    assert!(waiter.get("key").is_none(), "{waiter}");
    waiter["session"].as_str().expect("a handle").to_owned()
}

#[test]
fn locks_are_listed_with_holders_and_waiters() {
    // A hold without a lease ends with its session.
    let server = Spec::in_memory().api_key(KEY).argument("--session-timeout").argument("7230s").start();
    let (mut one, mut two) = (worker(&server), worker(&server));
    let about = json!({"host": "web-1", "pid": "77"});
    let lease = json!({"name": "deploy/production", "lock_timeout_seconds": 3630, "metadata": about});
    let (key, production) = take(&mut one, lease);
    let (_, first) = take(&mut one, json!({"name": "gpu", "size": 3}));
    let (_, second) = take(&mut two, json!({"name": "gpu", "size": 3}));
    let waiting = std::thread::spawn(move || {
        take(&mut two, json!({"name": "deploy/production", "lock_timeout_seconds": 60, "wait_timeout_seconds": 3630}))
    });
    until("the wait", || one.get("/v1/locks/deploy%2Fproduction").json()["queue_length"] == 1);
    let sessions = operate(&server, &["locks", "--output", "json"]);
    let shown: Value = serde_json::from_str(&sessions.stdout).expect("JSON");
    let handle = |at: usize| shown["locks"][1]["holders"][at]["session"].as_str().expect("a handle").to_owned();
    let table = operate(&server, &["locks"]);
    let expected = format!(
        "\
NAME               HELD  WAITING  HOLDER                FOR   LEASE  TOKEN
deploy/production  1/1   1        host=web-1 pid=77     0.0s  1h0m   {production}
gpu                2/3   0        session {}  0.0s  2h0m   {first}
gpu                2/3   0        session {}  0.0s  2h0m   {second}
",
        handle(0),
        handle(1),
    );
    assert_eq!(steady(&table.stdout), expected, "{}", table.stderr);

    let why = operate(&server, &["locks", "--why", "deploy/production"]);
    let waiter = shown_waiter(&server);
    let expected = format!(
        "\
PLACE  MODE       WHO                   FOR   LEFT  TOKEN
holds  exclusive  host=web-1 pid=77     0.0s  1h0m  {production}
1      exclusive  session {waiter}  0.0s  1h0m  -
",
    );
    assert_eq!(steady(&why.stdout), expected, "{}", why.stderr);
    let nobody = operate(&server, &["locks", "--why", "nobody"]);
    assert!(nobody.stderr.contains("nobody holds \"nobody\" or waits for it"), "{}", nobody.stderr);

    let contended = operate(&server, &["locks", "--contended", "--keys"]).stdout;
    assert!(contended.lines().next().is_some_and(|line| line.ends_with("TOKEN             KEY")), "{contended}");
    assert!(contended.lines().count() == 2 && contended.trim_end().ends_with(&key), "{contended}");
    let gpus = operate(&server, &["locks", "--held", "--prefix", "gp"]).stdout;
    assert!(gpus.lines().count() == 3 && gpus.lines().skip(1).all(|line| line.starts_with("gpu ")), "{gpus}");

    let lock = &shown["locks"][0];
    assert_eq!(
        (&lock["name"], &lock["size"], &lock["queue_length"]),
        (&json!("deploy/production"), &json!(1), &json!(1))
    );
    let holder = lock["holders"][0].as_object().expect("an object");
    let fields: Vec<&str> = holder.keys().map(String::as_str).collect();
    let promised =
        ["dialect", "fencing_token", "held_for_seconds", "key", "metadata", "owner", "remaining_seconds", "session"];
    assert!(promised.iter().all(|field| fields.contains(field)), "{fields:?}");
    assert!(one.post("/v1/unlock", &json!({"name": "deploy/production", "key": key})).json()["unlocked"] == true);
    waiting.join().expect("granted");
}

#[test]
fn listing_of_many_pages_is_complete() {
    const LOCKS: usize = 1_005;
    let server = Spec::in_memory().start();
    let mut client = Client::plain(&server);
    for at in 0..LOCKS {
        assert_eq!(client.send("POST", &format!("/lock/many.{at:04}"), b"").status, 200);
    }
    let url = format!("http://{}", server.http());
    let listed = run_to_end(&["locks", "--url", &url, "--prefix", "many."]).stdout;
    let names: Vec<&str> = listed.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, (0..LOCKS).map(|at| format!("many.{at:04}")).collect::<Vec<_>>());
    assert!(
        listed.lines().nth(1).is_some_and(|line| line.starts_with("many.0000  1/1   0        -       ")),
        "{listed}"
    );
}

#[test]
fn empty_listing_is_a_note_or_an_empty_list() {
    let server = server();
    let none = operate(&server, &["locks"]);
    let told = "latchd: nothing to show: no lock is held or waited for, as far as this credential may see\n";
    assert_eq!((&*none.stdout, &*none.stderr), ("", told));
    let told = operate(&server, &["locks", "--held", "--prefix", "build/"]).stderr;
    assert!(told.contains("no lock whose name begins with \"build/\" is held, as far as"), "{told}");
    assert!(none.status.success());
    assert_eq!(operate(&server, &["sessions"]).stderr, "latchd: no sessions\n");
    assert_eq!(operate(&server, &["locks", "--output", "json"]).stdout, "{\n  \"locks\": []\n}\n");
    assert_eq!(operate(&server, &["sessions", "--output", "json"]).stdout, "{\n  \"sessions\": []\n}\n");
    let url = format!("http://{}", server.http());
    refused(&run_to_end(&["locks", "--url", &url]), "a password or an API key is needed (401)");
    refused(&run_to_end(&["sessions", "--url", "http://127.0.0.1:1"]), "cannot be reached");
}

#[test]
fn sessions_are_listed_by_their_handles() {
    let server = server();
    let mut one = worker(&server);
    take(&mut one, json!({"name": "a"}));
    let shown = operate(&server, &["sessions"]).stdout;
    let (headings, row) = shown.split_once('\n').expect("two lines");
    assert_eq!(headings, "SESSION       HOLDS  WAITING  IDLE TIMEOUT  ENDS IN");
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!((cells[0].len(), &cells[1..]), (12, &["1", "0", "10m0s", "9m59s"][..]), "{row}");
    let listed: Value =
        serde_json::from_str(&operate(&server, &["sessions", "--output", "json"]).stdout).expect("JSON");
    assert_eq!((&listed["sessions"][0]["session"], &listed["sessions"][0]["holds"]), (&json!(cells[0]), &json!(1)));
    let id = one.cookie("ldlm-session").expect("a session");
    assert!(!shown.contains(id) && !listed.to_string().contains(id), "the id is its owner's secret");
}

#[test]
fn hold_is_released_by_its_key() {
    let server = server();
    let (key, _) = take(&mut worker(&server), json!({"name": "a"}));
    let unlock = |key: &str| operate(&server, &["unlock", "a", "--key", key]);
    let wrong = "\"a\" was not unlocked: invalid lock key; it may have been released or have expired";
    refused(&unlock("6f0c2b1e-8a54-4f0e-9d53-0b1b9f3c2a10"), wrong);
    let given_back = unlock(&key.replace('-', ""));
    assert_eq!(given_back.stdout, "a is released\n", "{}", given_back.stderr);
    refused(&unlock(&key), "\"a\" was not unlocked: ");
    let (key, _) = take(&mut worker(&server), json!({"name": "a"}));
    let answer = operate(&server, &["unlock", "a", "--key", &key, "--output", "json"]).stdout;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let ended = json!({"fencing_token": null, "waiter_granted": null});
    assert_eq!(answer, json!({"name": "a", "released": [ended]}));
    let sessions: Value =
        serde_json::from_str(&operate(&server, &["sessions", "--output", "json"]).stdout).expect("JSON");
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(2), "the commands leave none behind");
}

#[test]
fn forced_release_by_admin_logs_the_reason() {
    let server = server();
    let (_, token) = take(&mut worker(&server), json!({"name": "stuck"}));
    let force = ["unlock", "stuck", "--force", "--reason", "web-1 is gone"];
    assert_eq!(operate(&server, &force).stdout, format!("stuck is released (fencing token {token})\n"));
    refused(&operate(&server, &force), "nobody holds \"stuck\"");
    assert!(server.stderr().contains("command-line-key-1 forced the release of \"stuck\": \"web-1 is gone\""));
    let told = operate(&server, &["history", "stuck", "--limit", "1"]).stdout;
    assert!(told.starts_with("ENDED ") && told.contains("  forced  "), "{told}");
    assert!(told.ends_with(&format!("  {token}  command-line-key-1  web-1 is gone\n")), "{told}");
    let json = operate(&server, &["history", "stuck", "--output", "json"]).stdout;
    let shown: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(shown["ended_holds"][0]["reason"], "web-1 is gone", "{shown}");
    let nothing = operate(&server, &["history", "never"]);
    assert_eq!((nothing.stdout.as_str(), nothing.status.success()), ("", true));
    assert!(nothing.stderr.contains("nothing to show: no hold of \"never\""), "{}", nothing.stderr);
}

#[test]
fn forced_release_ends_chosen_hold_or_all() {
    let server = server();
    let mut worker = worker(&server);
    let mut gpu = || take(&mut worker, json!({"name": "gpu", "size": 3, "metadata": {"host": "n1"}}));
    let [(first, one), (second, two), (_, three)] = [gpu(), gpu(), gpu()];
    let force = ["unlock", "gpu", "--force", "--reason", "r"];
    let asked = operate(&server, &force);
    refused(&asked, "\"gpu\" has 3 holds: end all of them with --all, or choose one:\n");
    assert!(asked.stderr.contains(&format!("\n  --key {second}   token {two}, host=n1\n")), "{}", asked.stderr);
    let chosen = operate(&server, &[&force[..], &["--key", &first]].concat());
    assert_eq!(chosen.stdout, format!("gpu is released (fencing token {one})\n"), "{}", chosen.stderr);
    let all = operate(&server, &[&force[..], &["--all", "--output", "json"]].concat()).stdout;
    let ended = |token| json!({"fencing_token": token, "waiter_granted": false});
    let expected = json!({"name": "gpu", "released": [ended(two), ended(three)]});
    assert_eq!(serde_json::from_str::<Value>(&all).expect("JSON"), expected);
}

#[test]
fn forced_release_needs_admin_and_correct_usage() {
    let text = "[access]\nkeys = [{ name = \"ci\", sha256 = \"HASH\", role = \"client\" }]\n";
    let text = text.replace("HASH", &latchd::access::hash_key("of a client"));
    let server = Spec::in_memory().api_key(KEY).configuration(text).start();
    take(&mut worker(&server), json!({"name": "a"}));
    let url = format!("http://{}", server.http());
    let client = |arguments: &[&str]| run_to_end(&[arguments, &["--url", &url, "--api-key", "of a client"]].concat());
    refused(&client(&["unlock", "a", "--force", "--reason", "r"]), "to end a hold of \"a\" needs the admin role");
    let shown = client(&["locks", "--keys"]);
    assert!(shown.stdout.trim_end().ends_with("  -"), "{}", shown.stdout);
    assert!(shown.stderr.contains("keys are shown to admins only"), "{}", shown.stderr);
    assert_eq!(client(&["locks"]).stderr, "");
    for (arguments, message) in [
        (&["unlock", "a"][..], "--key <KEY>"),
        (&["unlock", "a"], "--force --reason <TEXT>"),
        (&["unlock", "a", "--force"], "--reason <TEXT>"),
        (&["unlock", "a", "--key", "k", "--reason", "r"], "--force"),
        (&["unlock", "a", "--force", "--reason", "r", "--key", "k", "--all"], "cannot be used with"),
        (&["unlock"], "<NAME>"),
    ] {
        let told = client(arguments);
        assert_eq!(told.status.code(), Some(2), "{arguments:?}");
        assert!(told.stderr.contains(message), "{arguments:?}: {}", told.stderr);
    }
}
