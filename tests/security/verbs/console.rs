//! What is done by hand in the console.

use super::own::{frozen, token_held};
use super::{Asked, Caller, Verb, administers, changes, check, held_by_session, nothing, reads, session};
use crate::support::client::Client;
use crate::support::console::{form_token, post_form};
use serde_json::json;

/// Sends the form of an act, with a token that this caller got: of the page that asks, or of another one.
fn acted(caller: &mut Caller, act: &str, query: &str) -> bool {
    do_by_hand(&mut caller.http, act, query)
}

/// The same with a client of its own.
pub fn do_by_hand(client: &mut Client, act: &str, query: &str) -> bool {
    let pages = [format!("/ui/act/{act}?{query}"), "/ui/act/take?name=part%2Fown".to_owned()];
    let token = pages.iter().find_map(|page| form_token(&client.get(page)));
    let body = format!("{query}&reason=test&lease=900&form={}", token.unwrap_or_default());
    post_form(client, &format!("/ui/act/{act}"), &body).status == 303
}

/// The handle of the session that holds a lock.
fn session_held(admin: &mut Caller, name: &str) -> (String, String) {
    let (_, cookie) = held_by_session(admin, name);
    let shown = admin.http.get(&format!("/v1/locks/{name}")).json();
    (shown["holders"][0]["session"].as_str().expect("a handle").to_owned(), cookie)
}

/// A hold that the admin is said to have taken by hand.
fn taken(admin: &mut Caller, name: &str) -> (String, String) {
    let (_, cookie) = session(admin, name);
    let asked = json!({"name": name, "metadata": {"taken by hand by": "command-line-key-1"}});
    let taken = admin.http.post("/v1/lock", &asked).json();
    (taken["fencing_token"].to_string(), cookie)
}

/// The handle of a waiter, as the page of its lock names it.
pub fn waiter(admin: &mut Caller, name: &str) -> (String, String) {
    super::waited_for_in_raftlock(admin, name);
    let page = admin.http.get(&format!("/ui/lock?name={name}")).text();
    let (_, rest) = page.split_once("waiter=").expect("a way to drop it");
    (rest[..12].to_owned(), String::new())
}

fn shows(caller: &mut Caller, page: &str) -> bool {
    caller.http.get(page).status == 200
}

const CONSOLE: [Verb; 14] = [
    administers("POST /ui/act/force-release", token_held, |caller, asked| {
        acted(caller, "force-release", &format!("name={}&token={}", asked.name, asked.proof))
    }),
    administers("POST /ui/act/drop-waiter", waiter, |caller, asked| {
        acted(caller, "drop-waiter", &format!("name={}&waiter={}", asked.name, asked.proof))
    }),
    administers("POST /ui/act/end-session", session_held, |caller, asked| {
        acted(caller, "end-session", &format!("handle={}", asked.proof))
    }),
    administers("POST /ui/act/take", nothing, |caller, asked| acted(caller, "take", &format!("name={}", asked.name))),
    administers("POST /ui/act/give-back", taken, |caller, asked| {
        acted(caller, "give-back", &format!("name={}&token={}", asked.name, asked.proof))
    }),
    changes("GET /ui/act/force-release", token_held, |caller, asked| {
        shows(caller, &format!("/ui/act/force-release?name={}&token={}", asked.name, asked.proof))
    }),
    reads("GET /ui/lock", held_by_session, |caller, asked| shows(caller, &format!("/ui/lock?name={}", asked.name))),
    reads("GET /ui/sessions", nothing, |caller, _| shows(caller, "/ui/sessions")),
    reads("GET /ui/session", session, |caller, _| shows(caller, "/ui/session?handle=000000000000")),
    reads("the row of a lock on /", held_by_session, shows_its_row),
    reads("the row of an event on /ui/events", held_by_session, |caller, asked| {
        caller.http.get("/ui/events").text().contains(asked.name)
    }),
    administers("POST /ui/act/freeze", nothing, |caller, asked| {
        acted(caller, "freeze", &format!("match=name&name={}&holds=drain&for=900", asked.name))
    }),
    administers("POST /ui/act/thaw", frozen, |caller, asked| acted(caller, "thaw", &format!("name={}", asked.name))),
    reads("the row of a freeze on /ui/freezes", frozen, |caller, asked| {
        caller.http.get("/ui/freezes").text().contains(asked.name)
    }),
];

fn shows_its_row(caller: &mut Caller, asked: &Asked) -> bool {
    caller.http.get("/").text().contains(asked.name)
}

#[test]
fn console_needs_the_right_role() {
    check(&CONSOLE);
}
