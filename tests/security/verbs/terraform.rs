//! The verbs of Terraform's dialect.

use super::{Caller, Verb, administers, changes, check, nothing};
use serde_json::{Value, json};

fn held(admin: &mut Caller, name: &str) -> (String, String) {
    assert!(locked(admin, "LOCK", &format!("/terraform/{name}")));
    Default::default()
}

fn locked(caller: &mut Caller, method: &str, target: &str) -> bool {
    caller.asks(method, target, &json!({"ID": "me"}))
}

const TERRAFORM: [Verb; 5] = [
    changes("LOCK /terraform/{name}", nothing, |caller, asked| {
        locked(caller, "LOCK", &format!("/terraform/{}", asked.name))
    }),
    changes("POST /terraform/{name}/lock", nothing, |caller, asked| {
        locked(caller, "POST", &format!("/terraform/{}/lock", asked.name))
    }),
    changes("UNLOCK /terraform/{name}", held, |caller, asked| {
        locked(caller, "UNLOCK", &format!("/terraform/{}", asked.name))
    }),
    changes("DELETE /terraform/{name}/lock", held, |caller, asked| {
        locked(caller, "DELETE", &format!("/terraform/{}/lock", asked.name))
    }),
    administers("UNLOCK /terraform/{name} without a body", held, |caller, asked| {
        caller.asks("UNLOCK", &format!("/terraform/{}", asked.name), &Value::Null)
    }),
];

#[test]
fn terraform_needs_the_right_role() {
    check(&TERRAFORM);
}
