//! Sessions v1 beyond LDLM: modes, several names, weights, lock delays, changes of a hold, and deadlocks that are named.

use super::dialect_client::{DialectClient, Protocol, until, until_waiting};
use crate::support::client::Client;
use crate::support::http::Response;
use crate::support::process::Server;
use crate::support::spec::Spec;
use serde_json::{Value, json};
use std::thread::{self, JoinHandle};

fn session(server: &Server) -> Client {
    DialectClient::new(Protocol::SessionsV1, server).client
}

fn post(client: &mut Client, target: &str, body: &Value) -> Response {
    client.send("POST", target, body.to_string().as_bytes())
}

fn ok(client: &mut Client, target: &str, body: &Value) -> Value {
    let response = post(client, target, body);
    assert_eq!(response.status, 200, "{target} {body}: {}", response.text());
    response.json()
}

fn locked(client: &mut Client, body: &Value) -> Value {
    let answer = ok(client, "/v1/lock", body);
    assert_eq!(answer["locked"], true, "{body}: {answer}");
    answer
}

/// The lock as listings show it; `None` if it is free.
fn shown(server: &Server, name: &str) -> Option<Value> {
    Client::tls(server).get(&format!("/v1/locks?name={name}")).json()["locks"].get(0).cloned()
}

fn in_background(mut client: Client, target: &'static str, body: Value) -> JoinHandle<(Value, Client)> {
    thread::spawn(move || (ok(&mut client, target, &body), client))
}

fn token(answer: &Value) -> u64 {
    answer["fencing_token"].as_u64().expect("a token")
}

#[test]
fn readers_share_a_lock_and_do_not_overtake_a_writer() {
    let server = Spec::in_memory().start();
    let (mut one, mut two, mut late) = (session(&server), session(&server), session(&server));
    let shared = json!({"name": "report", "mode": "shared"});
    let keys = [locked(&mut one, &shared), locked(&mut two, &shared)].map(|held| held["key"].clone());
    let writer = in_background(session(&server), "/v1/lock", json!({"name": "report", "wait_timeout_seconds": 30}));
    until_waiting(&server, "report", 1);
    assert_eq!(ok(&mut late, "/v1/lock", &shared)["locked"], false, "a reader overtook the writer");
    let seen = shown(&server, "report").expect("held");
    assert_eq!((&seen["mode"], seen["holders"].as_array().map(Vec::len)), (&json!("shared"), Some(2)));
    for (client, key) in [(&mut one, &keys[0]), (&mut two, &keys[1])] {
        assert_eq!(ok(client, "/v1/unlock", &json!({"name": "report", "key": key}))["unlocked"], true);
    }
    let (written, _writer) = writer.join().expect("it lives");
    assert_eq!(written["locked"], true, "{written}");
    assert_eq!(shown(&server, "report").expect("held")["mode"], "exclusive");
}

/// Every dialect takes it alone, whoever comes first.
#[test]
fn plain_request_of_every_dialect_excludes_a_shared_hold() {
    let server = Spec::in_memory().redis().start();
    let mut reader = session(&server);
    for protocol in Protocol::ALL {
        let name = format!("shared-{protocol:?}");
        let shared = json!({"name": name, "mode": "shared"});
        let held = locked(&mut reader, &shared);
        let mut plain = DialectClient::new(protocol, &server);
        assert!(plain.take(&name).is_none(), "{protocol:?} took a lock in shared use");
        assert_eq!(ok(&mut reader, "/v1/unlock", &json!({"name": name, "key": held["key"]}))["unlocked"], true);
        assert!(plain.take(&name).is_some(), "{protocol:?}");
        assert_eq!(ok(&mut reader, "/v1/lock", &shared)["locked"], false, "{protocol:?} shares its lock");
    }
}

#[test]
fn counted_and_shared_use_do_not_mix() {
    let server = Spec::in_memory().start();
    let mut client = session(&server);
    locked(&mut client, &json!({"name": "pool", "size": 3}));
    locked(&mut client, &json!({"name": "report", "mode": "shared"}));
    for body in [json!({"name": "pool", "mode": "shared"}), json!({"name": "report", "size": 3})] {
        assert_eq!(ok(&mut client, "/v1/lock", &body)["error"]["code"], "LockSizeMismatch", "{body}");
    }
}

#[test]
fn weights_fill_a_counted_lock() {
    let server = Spec::in_memory().start();
    let mut client = session(&server);
    let ask = |weight: u32| json!({"name": "gpu", "size": 5, "weight": weight});
    let heavy = locked(&mut client, &ask(3));
    assert_eq!(ok(&mut client, "/v1/lock", &ask(3))["locked"], false);
    locked(&mut client, &ask(2));
    assert_eq!(ok(&mut client, "/v1/lock", &json!({"name": "gpu", "size": 5}))["locked"], false);
    ok(&mut client, "/v1/unlock", &json!({"name": "gpu", "key": heavy["key"]}));
    locked(&mut client, &ask(3));
    assert_eq!(shown(&server, "gpu").expect("held")["holders"][1]["weight"], 3);
}

#[test]
fn several_names_are_taken_and_given_back_whole() {
    let server = Spec::in_memory().start();
    let (mut one, mut two) = (session(&server), session(&server));
    let names = json!(["a", {"name": "b", "mode": "shared"}, "c"]);
    let held = locked(&mut one, &json!({"names": names, "lock_timeout_seconds": 60}));
    assert_eq!((&held["name"], &held["names"]), (&json!("a"), &json!(["a", "b", "c"])));
    for name in ["a", "c"] {
        assert_eq!(ok(&mut two, "/v1/lock", &json!({"name": name}))["locked"], false);
    }
    assert_eq!(shown(&server, "b").expect("held")["holders"][0]["name_count"], 3);
    locked(&mut two, &json!({"name": "b", "mode": "shared"}));
    let key = &held["key"];
    for wrong in [json!({"name": "a", "key": key}), json!({"names": ["a", "b"], "key": key})] {
        let refused = post(&mut one, "/v1/unlock", &wrong);
        assert_eq!(refused.status, 409, "{wrong}: {}", refused.text());
        assert!(refused.text().contains("3 names"), "{}", refused.text());
    }
    let renewal = json!({"names": ["c", "b", "a"], "key": key, "lock_timeout_seconds": 90});
    let renewed = ok(&mut one, "/v1/renew", &renewal);
    assert!(renewed["expires_in_seconds"].as_f64().is_some_and(|left| left > 80.0), "{renewed}");
    let released = ok(&mut one, "/v1/unlock", &json!({"names": ["b", "c", "a"], "key": key}));
    assert_eq!((&released["unlocked"], &released["names"]), (&json!(true), &json!(["a", "b", "c"])));
    assert_eq!(shown(&server, "a"), None);
    assert_eq!(shown(&server, "b").expect("two shares it")["holders"].as_array().map(Vec::len), Some(1));
}

#[test]
fn waiter_for_several_names_holds_nothing_until_it_has_all() {
    let server = Spec::in_memory().start();
    let (mut one, mut two) = (session(&server), session(&server));
    let held = locked(&mut one, &json!({"name": "a"}));
    let both = json!({"names": ["b", "a"], "wait_timeout_seconds": 30});
    let waiter = in_background(session(&server), "/v1/lock", both);
    until_waiting(&server, "b", 1);
    assert_eq!(ok(&mut two, "/v1/lock", &json!({"name": "b"}))["locked"], false, "it came later");
    assert_eq!(shown(&server, "b").expect("waited for")["holders"], json!([]));
    ok(&mut one, "/v1/unlock", &json!({"name": "a", "key": held["key"]}));
    let (granted, _waiter) = waiter.join().expect("it lives");
    assert_eq!(granted["names"], json!(["b", "a"]), "{granted}");
}

#[test]
fn upgrade_waits_for_the_other_readers_and_a_second_one_is_refused() {
    let server = Spec::in_memory().start();
    let (mut one, mut two) = (session(&server), session(&server));
    let shared = json!({"name": "index", "mode": "shared", "lock_timeout_seconds": 60});
    let (first, second) = (locked(&mut one, &shared), locked(&mut two, &shared));
    assert_eq!(ok(&mut one, "/v1/upgrade", &json!({"name": "index", "key": first["key"]}))["locked"], false);
    let upgrade = json!({"name": "index", "key": first["key"], "wait_timeout_seconds": 30});
    let waiter = in_background(one, "/v1/upgrade", upgrade);
    until_waiting(&server, "index", 1);
    let refused =
        post(&mut two, "/v1/upgrade", &json!({"name": "index", "key": second["key"], "wait_timeout_seconds": 30}));
    assert_eq!(refused.status, 409, "{}", refused.text());
    ok(&mut two, "/v1/unlock", &json!({"name": "index", "key": second["key"]}));
    let (upgraded, mut one) = waiter.join().expect("it lives");
    assert_eq!((&upgraded["locked"], &upgraded["key"]), (&json!(true), &first["key"]), "{upgraded}");
    assert!(token(&upgraded) > token(&second));
    assert_eq!(ok(&mut two, "/v1/lock", &shared)["locked"], false);
    let downgraded = ok(&mut one, "/v1/downgrade", &json!({"name": "index", "key": first["key"]}));
    assert!(token(&downgraded) > token(&upgraded), "{downgraded}");
    locked(&mut two, &shared);
}

#[test]
fn transferred_hold_has_a_new_key_and_lives_with_its_new_session() {
    let server = Spec::in_memory().start();
    let (mut giver, mut taker) = (session(&server), session(&server));
    let held = locked(&mut giver, &json!({"name": "deploy"}));
    let to = taker.cookie("ldlm-session").expect("a session").to_owned();
    let moved = ok(&mut giver, "/v1/transfer", &json!({"name": "deploy", "key": held["key"], "to_session": to}));
    assert!(moved["key"] != held["key"] && token(&moved) > token(&held), "{moved}");
    let stale = ok(&mut giver, "/v1/unlock", &json!({"name": "deploy", "key": held["key"]}));
    assert_eq!(stale["error"]["code"], "InvalidLockKey", "the old key is dead");
    assert_eq!(giver.send("DELETE", "/session", b"").status, 200);
    assert!(shown(&server, "deploy").is_some(), "it belongs to the other session");
    assert_eq!(taker.send("DELETE", "/session", b"").status, 200);
    assert_eq!(shown(&server, "deploy"), None);
    let mut again = session(&server);
    let held = locked(&mut again, &json!({"name": "deploy"}));
    let dead = json!({"name": "deploy", "key": held["key"], "to_session": to});
    assert_eq!(post(&mut again, "/v1/transfer", &dead).status, 409, "the target session has ended");
}

#[test]
fn lock_delay_follows_an_expiry_and_not_an_unlock() {
    let server = Spec::in_memory().start();
    let (mut one, mut two) = (session(&server), session(&server));
    let ask = |lease: f64| json!({"name": "wal", "lock_timeout_seconds": lease, "lock_delay_seconds": 30});
    let held = locked(&mut one, &ask(60.0));
    ok(&mut one, "/v1/unlock", &json!({"name": "wal", "key": held["key"]}));
    locked(&mut two, &ask(0.05));
    // Between the end of the lease and the entry that ends the hold, nothing is shown.
    let delayed = || shown(&server, "wal").filter(|lock| lock["delayed_for_seconds"].is_number());
    until("the lease ends", || delayed().is_some());
    let seen = delayed().expect("for half a minute");
    assert!(seen["delayed_for_seconds"].as_f64().is_some_and(|left| left > 20.0), "{seen}");
    assert_eq!(ok(&mut one, "/v1/lock", &json!({"name": "wal"}))["locked"], false);
}

#[test]
fn wait_that_would_close_a_cycle_is_refused_with_it() {
    let server = Spec::in_memory().start();
    let (mut one, mut two) = (session(&server), session(&server));
    locked(&mut one, &json!({"name": "a"}));
    let held = locked(&mut two, &json!({"name": "b"}));
    let waiter = in_background(one, "/v1/lock", json!({"name": "b", "wait_timeout_seconds": 30}));
    until_waiting(&server, "b", 1);
    let refused = ok(&mut two, "/v1/lock", &json!({"name": "a", "wait_timeout_seconds": 30}));
    assert_eq!((&refused["locked"], &refused["error"]["code"]), (&json!(false), &json!("WouldDeadlock")), "{refused}");
    let cycle = refused["cycle"].as_array().expect("a cycle");
    let names: Vec<&Value> = cycle.iter().map(|step| &step["name"]).collect();
    assert_eq!(names, [&json!("a"), &json!("b")]);
    for (at, step) in cycle.iter().enumerate() {
        assert_eq!(step["held_by"], cycle[(at + 1) % cycle.len()]["waited_for_by"], "{refused}");
    }
    assert_eq!(shown(&server, "a").expect("held")["queue_length"], 0);
    ok(&mut two, "/v1/unlock", &json!({"name": "b", "key": held["key"]}));
    assert_eq!(waiter.join().expect("it lives").0["locked"], true);
}

/// Clients of LDLM share one session among threads.
#[test]
fn session_may_wait_for_what_it_holds_itself() {
    let server = Spec::in_memory().start();
    let mut one = session(&server);
    let cookie = format!("ldlm-session={}", one.cookie("ldlm-session").expect("a session"));
    let held = locked(&mut one, &json!({"name": "a"}));
    let other = Client::tls(&server).with_header("Cookie", &cookie);
    let waiter = in_background(other, "/v1/lock", json!({"name": "a", "wait_timeout_seconds": 30}));
    until_waiting(&server, "a", 1);
    ok(&mut one, "/v1/unlock", &json!({"name": "a", "key": held["key"]}));
    assert_eq!(waiter.join().expect("it lives").0["locked"], true);
}

#[test]
fn bad_input_names_its_field_and_changes_nothing() {
    let server = Spec::in_memory().start();
    let mut client = session(&server);
    let held = locked(&mut client, &json!({"name": "held"}));
    let key = held["key"].clone();
    let many: Vec<String> = (0..65).map(|number| format!("n{number}")).collect();
    let before = client.get("/v1/locks").json()["locks"][0]["holders"].clone();
    let no_key = "00000000-0000-4000-8000-000000000000";
    for (target, body, status, naming) in [
        ("/v1/lock", json!({"names": []}), 400, "names must have from 1 to 64 entries"),
        ("/v1/lock", json!({"names": many}), 400, "locks.names_max"),
        ("/v1/lock", json!({"names": ["a", "a"]}), 400, "names must not contain a name twice"),
        ("/v1/lock", json!({"names": ["a", ""]}), 400, "names"),
        ("/v1/lock", json!({"names": "a"}), 400, "names"),
        ("/v1/lock", json!({"names": [["a"]]}), 400, "names"),
        ("/v1/lock", json!({"names": [{"name": "a", "size": "2"}]}), 400, "names"),
        ("/v1/lock", json!({"names": ["a"], "name": "b"}), 400, "names goes without name"),
        ("/v1/lock", json!({"names": ["a"], "size": 2}), 400, "names goes without size"),
        ("/v1/lock", json!({"name": "a", "mode": "read"}), 400, "mode must be"),
        ("/v1/lock", json!({"name": "a", "mode": "shared", "size": 2}), 400, "mode goes without size"),
        ("/v1/lock", json!({"name": "a", "weight": 2}), 400, "weight goes with size"),
        (
            "/v1/lock",
            json!({"name": "a", "size": 2, "weight": 3}),
            400,
            "weight must be a whole number from 1 to the size",
        ),
        ("/v1/lock", json!({"name": "a", "size": 2, "weight": 0}), 400, "weight"),
        ("/v1/lock", json!({"name": "a", "size": 2, "weight": 1.5}), 400, "weight"),
        ("/v1/lock", json!({"name": "a", "lock_delay_seconds": 601}), 400, "locks.lock_delay_max"),
        ("/v1/lock", json!({"name": "a", "lock_delay_seconds": -1}), 400, "lock_delay_seconds"),
        ("/v1/upgrade", json!({"name": "held", "key": no_key}), 404, "key"),
        ("/v1/upgrade", json!({"name": "free", "key": no_key}), 404, "name"),
        ("/v1/upgrade", json!({"name": "held"}), 400, "key is needed"),
        ("/v1/downgrade", json!({"name": "held", "key": no_key}), 404, "key"),
        ("/v1/transfer", json!({"name": "held", "key": key}), 400, "to_session is needed"),
        ("/v1/transfer", json!({"name": "held", "key": key, "to_session": "x"}), 400, "to_session"),
        ("/v1/transfer", json!({"name": "held", "key": key, "to_session": "0".repeat(32)}), 409, "session"),
        ("/v1/unlock", json!({"names": ["held", "b"], "key": key}), 409, "name alone"),
        ("/v1/renew", json!({"names": ["held", "b"], "key": key, "lock_timeout_seconds": 1}), 409, "name alone"),
    ] {
        let refused = post(&mut client, target, &body);
        let text = refused.text();
        assert_eq!((refused.status, text.contains(naming)), (status, true), "{target} {body}: {text}");
    }
    let locks = client.get("/v1/locks").json()["locks"].clone();
    assert_eq!(
        (locks.as_array().map(Vec::len), &locks[0]["holders"][0]["fencing_token"]),
        (Some(1), &before[0]["fencing_token"])
    );
}
