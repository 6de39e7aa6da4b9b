//! `GET /v1/locks`, `GET /v1/locks/{name}`, `GET /v1/sessions`.

use super::{body, lock, problem, with_session};
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;
use serde_json::{Value, json};

fn names(page: &Value) -> Vec<String> {
    let locks = page["locks"].as_array().expect("locks");
    locks.iter().map(|lock| lock["name"].as_str().expect("a name").to_owned()).collect()
}

/// All names, page by page.
fn walk(client: &mut Client, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = body(&client.get(&format!("/v1/locks?{query}{cursor}")));
        found.extend(names(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// Holds a lock with one client and waits for it with another, until the queue shows it.
fn contended(server: &Server, holder: &mut Client, name: &str) -> std::thread::JoinHandle<()> {
    lock(holder, name);
    let mut waiter = with_session(Client::plain(server));
    let wanted = json!({"name": name, "wait_timeout_seconds": 30});
    let waiting = std::thread::spawn(move || {
        let answer = body(&waiter.post("/v1/lock", &wanted));
        assert_eq!(answer["locked"], true, "{answer}");
    });
    let mut watcher = Client::plain(server);
    while body(&watcher.get(&format!("/v1/locks/{name}")))["queue_length"] != 1 {
        std::thread::yield_now();
    }
    waiting
}

#[test]
fn pages_follow_without_gaps_in_name_order() {
    let server = Spec::in_memory().start();
    let mut client = with_session(Client::plain(&server));
    let mut expected: Vec<String> = (0..25).map(|n| format!("page/{n}")).collect();
    expected.iter().for_each(|name| drop(lock(&mut client, name)));
    lock(&mut client, "other");
    expected.sort();
    for limit in [1, 7, 25, 1000] {
        assert_eq!(walk(&mut client, &format!("prefix=page%2F&limit={limit}")), expected, "limit {limit}");
    }
    let first = body(&client.get("/v1/locks?prefix=page/&limit=25"));
    assert_eq!(first["next_cursor"], Value::Null, "nothing comes after the last");
}

#[test]
fn lock_is_shown_with_holder_and_queue() {
    let server = Spec::in_memory().start();
    let mut client = with_session(Client::plain(&server));
    let asked = json!({"name": "a/b c", "lock_timeout_seconds": 60, "metadata": {"host": "web-1"}});
    let taken = body(&client.post("/v1/lock", &asked));
    let shown = body(&client.get("/v1/locks/a%2Fb%20c"));
    assert_eq!((&shown["name"], &shown["size"], &shown["queue_length"]), (&json!("a/b c"), &json!(1), &json!(0)));
    assert_eq!(shown["waiters"], json!([]));
    let holder = &shown["holders"][0];
    assert_eq!(holder["fencing_token"], taken["fencing_token"]);
    assert_eq!(holder["metadata"], json!({"host": "web-1"}));
    assert_eq!(holder["dialect"], "sessions-v1");
    let remaining = holder["remaining_seconds"].as_f64().expect("a lease");
    assert!((50.0..=60.0).contains(&remaining), "{remaining}");
    client.post("/v1/unlock", &json!({"name": "a/b c", "key": taken["key"]}));
    problem(&client.get("/v1/locks/a%2Fb%20c"), 404, "no-such-lock");
}

#[test]
fn waiters_of_one_lock_are_shown_in_order_and_to_those_who_may_read_it() {
    let server = Spec::in_memory().start();
    let mut holder = with_session(Client::plain(&server));
    let key = lock(&mut holder, "why");
    let mut watcher = Client::plain(&server);
    let mut waiting = Vec::new();
    for number in 1..=3 {
        let mut waiter = with_session(Client::plain(&server));
        let asked = json!({"name": "why", "wait_timeout_seconds": 30, "metadata": {"number": number.to_string()}});
        waiting.push(std::thread::spawn(move || {
            let taken = body(&waiter.post("/v1/lock", &asked));
            waiter.post("/v1/unlock", &json!({"name": "why", "key": taken["key"]}));
        }));
        while body(&watcher.get("/v1/locks/why"))["queue_length"] != number {
            std::thread::yield_now();
        }
    }
    let shown = body(&watcher.get("/v1/locks?name=why"))["locks"][0].clone();
    assert_eq!(body(&watcher.get("/v1/locks/why"))["waiters"][2]["metadata"], shown["waiters"][2]["metadata"]);
    let places: Vec<_> = shown["waiters"]
        .as_array()
        .expect("waiters")
        .iter()
        .map(|waiter| (waiter["position"].clone(), waiter["metadata"]["number"].clone()))
        .collect();
    assert_eq!(places, [(json!(0), json!("1")), (json!(1), json!("2")), (json!(2), json!("3"))]);
    assert!(body(&watcher.get("/v1/locks?prefix=why"))["locks"][0].get("waiters").is_none(), "a page shows none");
    holder.post("/v1/unlock", &json!({"name": "why", "key": key}));
    waiting.into_iter().for_each(|waiting| waiting.join().expect("it was granted"));
}

#[test]
fn filters_select_by_holds_and_waiters() {
    let server = Spec::in_memory().start();
    let mut holder = with_session(Client::plain(&server));
    lock(&mut holder, "calm");
    let waiting = contended(&server, &mut holder, "busy");
    let mut reader = Client::plain(&server);
    assert_eq!(walk(&mut reader, "contended=true"), ["busy"]);
    assert_eq!(walk(&mut reader, "contended=false"), ["calm"]);
    assert_eq!(walk(&mut reader, "held=true"), ["busy", "calm"]);
    assert_eq!(walk(&mut reader, "held=false"), Vec::<String>::new());
    holder.delete("/session");
    waiting.join().expect("the waiter got the lock");
}

#[test]
fn sessions_are_listed_by_handles() {
    let server = Spec::in_memory().start();
    let mut clients: Vec<Client> = (0..5).map(|_| with_session(Client::plain(&server))).collect();
    lock(&mut clients[0], "mine");
    let mut reader = Client::plain(&server);
    let whole = reader.get("/v1/sessions");
    for client in &clients {
        let id = client.cookie("ldlm-session").expect("a session");
        assert!(!whole.text().contains(id), "a session id is its owner's secret");
    }
    let mut handles = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = body(&reader.get(&format!("/v1/sessions?limit=2{cursor}")));
        for session in page["sessions"].as_array().expect("sessions") {
            assert_eq!(session["idle_timeout_seconds"], 600.0);
            handles.push(session["session"].as_str().expect("a handle").to_owned());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    handles.sort();
    handles.dedup();
    assert_eq!(handles.len(), 5, "each session once");
    let held_by = body(&reader.get("/v1/locks/mine"))["holders"][0]["session"].clone();
    assert!(handles.iter().any(|handle| *handle == held_by), "the lock names its session by the same handle");
}

#[test]
fn invalid_parameters_are_refused_with_their_name() {
    let server = Spec::in_memory().start();
    let mut client = Client::plain(&server);
    let long = "x".repeat(513);
    for (target, code, field) in [
        ("/v1/locks?limit=0".to_owned(), "invalid-field", "limit"),
        ("/v1/locks?limit=1001".to_owned(), "invalid-field", "limit"),
        ("/v1/locks?limit=NaN".to_owned(), "invalid-field", "limit"),
        ("/v1/locks?limit=9223372036854775808".to_owned(), "invalid-field", "limit"),
        ("/v1/locks?held=yes".to_owned(), "invalid-field", "held"),
        ("/v1/locks?contended=".to_owned(), "invalid-field", "contended"),
        ("/v1/locks?cursor=%00".to_owned(), "invalid-field", "cursor"),
        ("/v1/locks?prefix=%ff".to_owned(), "invalid-field", "prefix"),
        (format!("/v1/locks?prefix={long}"), "limit-exceeded", "prefix"),
        ("/v1/locks/a%00b".to_owned(), "invalid-field", "name"),
        ("/v1/locks/%ff".to_owned(), "invalid-field", "name"),
        (format!("/v1/locks/{long}"), "limit-exceeded", "name"),
        ("/v1/sessions?cursor=AAAA".to_owned(), "invalid-field", "cursor"),
        ("/v1/sessions?limit=-1".to_owned(), "invalid-field", "limit"),
    ] {
        let problem = problem(&client.get(&target), 400, code);
        assert_eq!(problem["field"], field, "{target}");
    }
}
