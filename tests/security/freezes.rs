//! Freezes and credentials that are limited to prefixes.

use super::rights::{ADMIN_OF_PART, KEY, PART, keys, with};
use crate::support::client::Client;
use crate::support::spec::Spec;
use serde_json::{Value, json};

fn put(client: &mut Client, target: &str) -> u16 {
    let asked = json!({"reason": "a test", "for_seconds": 60, "match": "prefix"});
    client.send("PUT", target, asked.to_string().as_bytes()).status
}

#[test]
fn one_credential_leaves_freezes_to_the_others() {
    let limits = "[locks]\nfreezes_max = 20\n[quotas]\ncredential_percent = 50\n";
    let server = Spec::in_memory().api_key(KEY).configuration(keys() + limits).start();
    let (mut boss, mut part) = (with(&server, KEY), with(&server, ADMIN_OF_PART));
    let freeze = |client: &mut Client, target: &str| put(client, &format!("/v1/freezes?target={target}"));
    assert!((0..10).all(|at| freeze(&mut part, &format!("part/{at}")) == 200));
    let asked = json!({"reason": "a test", "for_seconds": 60}).to_string();
    let refused = part.send("PUT", "/v1/freezes?target=part/more", asked.as_bytes());
    let told = refused.json();
    assert_eq!((refused.status, &told["code"], &told["limit"]), (429, &json!("share-full"), &json!(10)));
    assert_eq!(told["config_key"], "quotas.credential_percent");
    assert_eq!(freeze(&mut part, "part/3"), 200, "one of its own is replaced");
    assert!((0..10).all(|at| freeze(&mut boss, &format!("other/{at}")) == 200), "the rest is for others");
    assert_eq!(freeze(&mut boss, "part/3"), 429, "one of another becomes its own");
    assert_eq!(boss.delete("/v1/freezes/other%2F0").status, 200);
    assert_eq!(freeze(&mut boss, "part/3"), 200);
}

#[test]
fn limited_credentials_freeze_and_see_only_their_names() {
    let server = Spec::in_memory().api_key(KEY).configuration(keys()).start();
    let (mut boss, mut part, mut client) = (with(&server, KEY), with(&server, ADMIN_OF_PART), with(&server, PART));
    for target in ["?target=par", "?target=other/", "/x"] {
        assert_eq!(put(&mut part, &format!("/v1/freezes{target}")), 403, "{target}");
    }
    let everything = json!({"reason": "a test", "for_seconds": 60, "match": "everything"}).to_string();
    assert_eq!(part.send("PUT", "/v1/freezes", everything.as_bytes()).status, 403);
    assert_eq!(put(&mut part, "/v1/freezes?target=part/a"), 200);
    assert_eq!((put(&mut boss, "/v1/freezes?target=p"), put(&mut boss, "/v1/freezes?target=other/")), (200, 200));
    let seen = |client: &mut Client| client.get("/v1/freezes").json()["freezes"].clone();
    let (all, own) = (seen(&mut boss), seen(&mut client));
    assert_eq!((all.as_array().map(Vec::len), own.as_array().map(Vec::len)), (Some(3), Some(2)), "{own}");
    assert_eq!((&own[0]["target"], &own[0]["by"]), (&json!("p"), &Value::Null), "who froze is for admins");
    assert_eq!(seen(&mut part)[1]["by"], "admin-of-part");
    assert_eq!(client.get("/v1/freezes/other%2F").status, 404);
    assert_eq!((part.delete("/v1/freezes/p").status, client.delete("/v1/freezes/part%2Fa").status), (403, 403));
    assert_eq!(part.delete("/v1/freezes?match=everything").status, 403, "whether there is one or not");
    assert_eq!(part.delete("/v1/freezes").status, 403);
    assert_eq!(part.delete("/v1/freezes/part%2Fa").status, 200);
}
