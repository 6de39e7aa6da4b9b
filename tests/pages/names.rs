//! Names that a path cannot carry: whatever has a name in its path is also there with `?name=`.

use super::{body, lock, problem, with_session};
use crate::support::client::Client;
use crate::support::spec::Spec;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

pub const AWKWARD: [&str; 14] =
    [".", "..", "-x", "--force", "a/b", "/", "a%2Fb", "a?b", "a#b", "a&name=b", "a+b", " ", "日本/語", "../holds"];

pub fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

#[test]
fn lock_of_any_name_is_listed_shown_and_ended() {
    let server = Spec::in_memory().start();
    let mut owner = with_session(Client::plain(&server));
    let mut admin = Client::plain(&server);
    for name in AWKWARD {
        let key = lock(&mut owner, name);
        lock(&mut owner, "another");
        let shown = body(&admin.get(&format!("/v1/locks?name={}", encoded(name))));
        assert_eq!(shown["locks"].as_array().map(Vec::len), Some(1), "{name:?}: {shown}");
        assert_eq!((&shown["locks"][0]["name"], &shown["next_cursor"]), (&json!(name), &json!(null)));
        assert_eq!(shown["locks"][0]["holders"][0]["key"], json!(key));
        let ended = admin.delete(&format!("/v1/holds?name={}&key={key}&reason=test", encoded(name)));
        assert_eq!(ended.status, 200, "{name:?}: {}", ended.text());
        assert_eq!(body(&ended)["name"], json!(name));
        let free = body(&admin.get(&format!("/v1/locks?name={}", encoded(name))));
        assert_eq!(free, json!({"locks": [], "next_cursor": null}), "{name:?}");
        problem(&admin.delete(&format!("/v1/holds?name={}&key={key}&reason=x", encoded(name))), 404, "no-such-lock");
        owner.delete("/session");
        owner = with_session(owner);
    }
}

#[test]
fn lock_with_an_empty_name_is_shown_and_ended() {
    let server = Spec::in_memory().start();
    let mut client = Client::plain(&server);
    assert_eq!(client.get("/getlock?lockname=").status, 200);
    let shown = body(&client.get("/v1/locks?name="));
    let key = shown["locks"][0]["holders"][0]["key"].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned();
    assert_eq!(client.delete(&format!("/v1/holds?name=&key={key}&reason=test")).status, 200);
    assert_eq!(body(&client.get("/v1/locks?name="))["locks"], json!([]));
}

#[test]
fn query_by_name_shows_only_that_lock() {
    let keys = "[access]\nkeys = [{ name = \"ci\", sha256 = \"HASH\", role = \"admin\", prefixes = [\"ci/\"] }]\n";
    let keys = keys.replace("HASH", &latchd::access::hash_key("of ci"));
    let server = Spec::in_memory().api_key("boss").configuration(keys).start();
    let mut owner = with_session(Client::plain(&server).with_header("X-API-Key", "boss"));
    let key = lock(&mut owner, "ops/a");
    let mut limited = Client::plain(&server).with_header("X-API-Key", "of ci");
    problem(&limited.get("/v1/locks?name=ops/a"), 403, "forbidden");
    problem(&limited.delete(&format!("/v1/holds?name=ops/a&key={key}&reason=x")), 403, "forbidden");
    problem(&Client::plain(&server).get("/v1/locks?name=ops/a"), 401, "credential-missing");
    problem(&Client::plain(&server).delete("/v1/holds?name=ops/a"), 401, "credential-missing");
    assert_eq!(body(&limited.get("/v1/locks?name=ci/a"))["locks"], json!([]));
    for (query, field) in
        [("name=ops/a&prefix=o", "name"), ("name=ops/a&cursor=AW8", "name"), ("name=%00", "name"), ("name=%ff", "name")]
    {
        let refused = problem(&owner.get(&format!("/v1/locks?{query}")), 400, "invalid-field");
        assert_eq!(refused["field"], field, "{query}");
    }
    for (query, field) in [("key=x&reason=r", "name"), ("name=ops/a&reason=r", "key"), ("name=ops/a&key=x", "reason")] {
        let refused = problem(&owner.delete(&format!("/v1/holds?{query}")), 400, "invalid-field");
        assert_eq!(refused["field"], field, "{query}");
    }
    problem(&owner.delete("/v1/holds?name=ops/a&key=x&reason=r"), 404, "wrong-key");
    problem(&owner.get("/v1/holds?name=ops/a"), 405, "method-not-allowed");
    assert_eq!(body(&owner.get("/v1/locks?name=ops/a&held=false"))["locks"], json!([]));
    assert_eq!(body(&owner.get("/v1/locks?name=ops/a&held=true"))["locks"][0]["name"], "ops/a");
}
