//! The verbs of latchd's own API.

use super::{
    Asked, Caller, Verb, administers, changes, check, held_by_name, held_by_session, held_in_get_lock, nothing, reads,
    session,
};
use serde_json::{Value, json};

const OWN: [Verb; 9] = [
    reads("GET /v1/locks/{name}", held_by_name, |caller, asked| {
        caller.asks("GET", &format!("/v1/locks/{}", asked.name), &Value::Null)
    }),
    reads("GET /v1/locks?name=", held_by_name, |caller, asked| {
        caller.asks("GET", &format!("/v1/locks?name={}", asked.name), &Value::Null)
    }),
    reads("GET /v1/locks/{name}/history", held_by_name, |caller, asked| {
        caller.asks("GET", &format!("/v1/locks/{}/history", asked.name), &Value::Null)
    }),
    reads("GET /v1/history", held_by_name, |caller, asked| {
        caller.asks("GET", &format!("/v1/history?name={}", asked.name), &Value::Null)
    }),
    reads("GET /v1/sessions", nothing, |caller, _| caller.asks("GET", "/v1/sessions", &Value::Null)),
    reads("GET /metrics", nothing, |caller, _| caller.asks("GET", "/metrics", &Value::Null)),
    administers("DELETE /v1/locks/{name}/holds/{key}", held_in_get_lock, |caller, asked| {
        caller.asks("DELETE", &format!("/v1/locks/{}/holds/{}?reason=x", asked.name, asked.proof), &Value::Null)
    }),
    administers("DELETE /v1/holds", held_in_get_lock, |caller, asked| {
        let target = format!("/v1/holds?name={}&key={}&reason=x", asked.name, asked.proof);
        caller.asks("DELETE", &target, &Value::Null)
    }),
    administers("GET /v1/backup", nothing, |caller, _| caller.asks("GET", "/v1/backup", &Value::Null)),
];

fn leads(admin: &mut Caller, name: &str) -> (String, String) {
    let (_, cookie) = session(admin, name);
    let asked = json!({"value": "me", "lease_seconds": 600});
    let elected = admin.http.post(&format!("/v1/elections/{name}"), &asked).json();
    (elected["key"].as_str().expect("a key").to_owned(), cookie)
}

pub fn token_held(admin: &mut Caller, name: &str) -> (String, String) {
    let (_, cookie) = held_by_session(admin, name);
    let shown = admin.http.get(&format!("/v1/locks/{name}")).json();
    (shown["holders"][0]["fencing_token"].to_string(), cookie)
}

fn counted(admin: &mut Caller, name: &str) -> (String, String) {
    session(admin, name);
    assert!(admin.asks("POST", "/v1/lock", &json!({"name": name, "size": 2})));
    Default::default()
}

fn marked(caller: &mut Caller, asked: &Asked) -> bool {
    let token: u64 = asked.proof.parse().expect("a number");
    caller.asks("POST", "/v1/fence", &json!({"resource": asked.name, "token": token}))
}

const ELECTIONS: [Verb; 8] = [
    changes("POST /v1/elections/{name}", session, |caller, asked| {
        let body = json!({"value": "me", "lease_seconds": 600});
        caller.in_session(&asked.cookie).asks("POST", &format!("/v1/elections/{}", asked.name), &body)
    }),
    changes("POST /v1/elections", session, |caller, asked| {
        let body = json!({"value": "me", "lease_seconds": 600});
        caller.in_session(&asked.cookie).asks("POST", &format!("/v1/elections?name={}", asked.name), &body)
    }),
    changes("PUT /v1/elections/{name}", leads, |caller, asked| {
        let body = json!({"key": asked.proof, "value": "other"});
        caller.in_session(&asked.cookie).asks("PUT", &format!("/v1/elections/{}", asked.name), &body)
    }),
    changes("PUT /v1/elections", leads, |caller, asked| {
        let body = json!({"key": asked.proof, "value": "other"});
        caller.in_session(&asked.cookie).asks("PUT", &format!("/v1/elections?name={}", asked.name), &body)
    }),
    changes("DELETE /v1/elections/{name}", leads, |caller, asked| {
        let target = format!("/v1/elections/{}?key={}", asked.name, asked.proof);
        caller.in_session(&asked.cookie).asks("DELETE", &target, &Value::Null)
    }),
    changes("DELETE /v1/elections", leads, |caller, asked| {
        let target = format!("/v1/elections?name={}&key={}", asked.name, asked.proof);
        caller.in_session(&asked.cookie).asks("DELETE", &target, &Value::Null)
    }),
    reads("GET /v1/elections/{name}", leads, |caller, asked| {
        caller.asks("GET", &format!("/v1/elections/{}", asked.name), &Value::Null)
    }),
    reads("GET /v1/elections", leads, |caller, asked| {
        caller.asks("GET", &format!("/v1/elections?name={}", asked.name), &Value::Null)
    }),
];

const FENCES_AND_SIZES: [Verb; 5] = [
    reads("GET /v1/locks/{name}/fence", token_held, |caller, asked| {
        caller.asks("GET", &format!("/v1/locks/{}/fence?token={}", asked.name, asked.proof), &Value::Null)
    }),
    reads("GET /v1/fence", token_held, |caller, asked| {
        caller.asks("GET", &format!("/v1/fence?name={}&token={}", asked.name, asked.proof), &Value::Null)
    }),
    changes("POST /v1/fence", token_held, marked),
    administers("PUT /v1/locks/{name}/size", counted, |caller, asked| {
        caller.asks("PUT", &format!("/v1/locks/{}/size", asked.name), &json!({"size": 3}))
    }),
    administers("PUT /v1/size", counted, |caller, asked| {
        caller.asks("PUT", &format!("/v1/size?name={}", asked.name), &json!({"size": 3}))
    }),
];

const FREEZES: [Verb; 6] = [
    administers("PUT /v1/freezes/{target}", nothing, |caller, asked| {
        caller.asks("PUT", &format!("/v1/freezes/{}", asked.name), &freeze())
    }),
    administers("PUT /v1/freezes", nothing, |caller, asked| {
        caller.asks("PUT", &format!("/v1/freezes?target={}", asked.name), &freeze())
    }),
    administers("DELETE /v1/freezes/{target}", frozen, |caller, asked| {
        caller.asks("DELETE", &format!("/v1/freezes/{}", asked.name), &json!({"reason": "it is over"}))
    }),
    administers("DELETE /v1/freezes", frozen, |caller, asked| {
        caller.asks("DELETE", &format!("/v1/freezes?target={}&reason=over", asked.name), &Value::Null)
    }),
    reads("GET /v1/freezes/{target}", frozen, |caller, asked| {
        caller.asks("GET", &format!("/v1/freezes/{}", asked.name), &Value::Null)
    }),
    reads("GET /v1/freezes", frozen, |caller, asked| {
        caller.asks("GET", &format!("/v1/freezes?name={}", asked.name), &Value::Null)
    }),
];

fn freeze() -> Value {
    json!({"reason": "a test", "for_seconds": 600})
}

pub(super) fn frozen(admin: &mut Caller, name: &str) -> (String, String) {
    assert!(admin.asks("PUT", &format!("/v1/freezes/{name}"), &freeze()));
    Default::default()
}

#[test]
fn own_api_needs_the_right_role() {
    check(&OWN);
}

#[test]
fn elections_need_the_right_role() {
    check(&ELECTIONS);
}

#[test]
fn fences_and_sizes_need_the_right_role() {
    check(&FENCES_AND_SIZES);
}

#[test]
fn freezes_need_the_right_role() {
    check(&FREEZES);
}
