//! What opens, and what its owner may then do.

use super::*;
use crate::access::Role;

#[test]
fn first_rule_that_matches_decides_name_role_and_prefixes() {
    let key = Key::new("one");
    let judge = Judge::with(&[&key]);
    let identity = |changes| judge.judge(&key.sign(&claims(changes))).expect("accepted");
    let main = identity(json!({}));
    assert_eq!((&*main.name, main.role), ("oidc:job acme/app", Role::Client));
    assert!(main.may_take("repo/acme/app/deploy") && main.may_take("shared/x"));
    for other in ["repo/acme/app2/deploy", "repo/acme/app", "repo/acme/", "other", ""] {
        assert!(!main.may_take(other), "{other}");
    }
    let branch = identity(json!({"ref": "refs/heads/x"}));
    assert_eq!((&*branch.name, branch.role), ("oidc:repo:acme/app:ref:refs/heads/main", Role::ReadOnly));
    let ops = identity(json!({"repository": "acme/ops", "environment": "production"}));
    assert!(ops.role == Role::Admin && ops.sees_every_name());
    let pod = identity(json!({"repository": null, "kubernetes.io": {"namespace": "ci"}}));
    assert_eq!(pod.prefixes_under(""), ["ns/ci/"]);
    assert_eq!(main.prefixes_under(""), ["repo/acme/app/", "shared/"]);
}

#[test]
fn credential_belongs_to_issuer_subject_and_rule_and_not_to_one_token() {
    let key = Key::new("one");
    let judge = Judge::with(&[&key]);
    let credential = |changes| judge.judge(&key.sign(&claims(changes))).expect("accepted").credential;
    let first = credential(json!({}));
    assert_eq!(first, credential(json!({"jti": "next", "exp": NOW + 600})));
    for other in [json!({"sub": "other"}), json!({"ref": "refs/heads/x"})] {
        assert_ne!(first, credential(other.clone()), "{other}");
    }
}

#[test]
fn name_in_logs_is_short_and_shows_what_is_invisible() {
    let key = Key::new("one");
    let judge = Judge::with(&[&key]);
    let odd = format!("a\n\u{1b}[31m\u{202e}b{}", "x".repeat(200));
    let ops = json!({"repository": "acme/ops", "environment": "production", "actor": odd});
    let name = judge.judge(&key.sign(&claims(ops))).expect("accepted").name.to_string();
    assert!(name.starts_with("oidc:ops a\\u{a}\\u{1b}[31m\\u{202e}bxx") && name.len() == "oidc:".len() + 128, "{name}");
}

#[test]
fn odd_claims_open_no_prefix() {
    let key = Key::new("one");
    let judge = Judge::with(&[&key]);
    for odd in ["acme/..", "acme/.", "acme/*", "acme/a\u{0}", "acme/", "acme", "acme/a/b", "/acme/a"] {
        let token = key.sign(&claims(json!({"repository": odd})));
        assert_eq!(judge.judge(&token), Err(TokenRefusal::NoRule), "{odd:?}");
    }
}

#[test]
fn odd_claim_leads_past_the_rule_that_decides_to_no_later_one() {
    let key = Key::new("one");
    let mut settings = issuer();
    settings["rules"] = json!([
        {"claims": {"ref": "refs/pull/**"}, "role": "read-only", "name": "{workflow}"},
        {"claims": {"repository": "acme/*"}, "role": "admin"}
    ]);
    let judge = Judge::of(settings);
    judge.publish(vec![key.jwk()]);
    let judged = |changes| judge.judge(&key.sign(&claims(changes)));
    assert_eq!(judged(json!({})).expect("accepted").role, Role::Admin);
    let pull = |workflow: Value| judged(json!({"ref": "refs/pull/7/merge", "workflow": workflow}));
    assert_eq!(pull(json!("test")).expect("accepted").role, Role::ReadOnly);
    for odd in [json!(null), json!(""), json!("w".repeat(257)), json!(["test"]), json!(1.5)] {
        assert_eq!(pull(odd.clone()), Err(TokenRefusal::NoRule), "{odd}");
    }
}

#[test]
fn audience_is_one_of_several_on_both_sides() {
    let key = Key::new("one");
    let judge = Judge::with(&[&key]);
    judge.judge(&key.sign(&claims(json!({"aud": ["other", "https://latchd.example"]})))).expect("accepted");
    for wrong in [json!("other"), json!([]), json!({"latchd": 1}), json!(null), json!("LATCHD"), json!(["lat", "chd"])]
    {
        let token = key.sign(&claims(json!({"aud": wrong})));
        assert_eq!(judge.judge(&token), Err(TokenRefusal::Audience), "{wrong}");
    }
}

#[test]
fn token_is_accepted_up_to_its_end_and_the_leeway() {
    let key = Key::new("one");
    let mut judge = Judge::with(&[&key]);
    let token = key.sign(&claims(json!({"exp": NOW as f64 + 300.5})));
    for (unix, accepted) in [(NOW, true), (NOW + 359, true), (NOW + 360, false), (NOW + 361, false), (NOW - 70, true)] {
        judge.unix = unix;
        assert_eq!(judge.judge(&token).is_ok(), accepted, "{}", unix - NOW);
    }
    let identity = judge.judge(&token).expect("accepted");
    assert_eq!(identity.ending().and_then(|ending| ending.expires()), Some(NOW + 360), "what it let in ends too");
}

#[test]
fn rules_that_would_let_everybody_in_or_open_the_names_of_others_are_refused() {
    let refused = |rules: Value| {
        let settings = json!({"issuer": ISSUER, "audience": "latchd", "rules": rules});
        serde_json::from_value::<IssuerSettings>(settings).expect_err("refused").to_string()
    };
    let rule =
        |claims: Value, prefix: &str| refused(json!([{"claims": claims, "role": "client", "prefixes": [prefix]}]));
    assert!(rule(json!({}), "a/").contains("at least one claim"));
    assert!(rule(json!({"sub": "*"}), "a/{sub}").contains("a slash after each claim"));
    assert!(rule(json!({"sub": "**"}), "a/{sub}/").contains("without **"));
    assert!(rule(json!({"sub": "x"}), "a/{actor}/").contains("claims that `claims` of the same rule names"));
    assert!(refused(json!([])).contains("1 to 256 rules"));
    let many = vec!["a/"; 65];
    assert!(
        refused(json!([{"claims": {"sub": "x"}, "role": "client", "prefixes": many}])).contains("at most 64 prefixes")
    );
}

#[test]
fn settings_without_safe_values_are_refused() {
    for (change, told) in [
        (json!({"issuer": "http://issuer.example"}), "https URL"),
        (json!({"jwks_url": "http://issuer.example/keys"}), "https URL"),
        (json!({"audience": ""}), "audience"),
        (json!({"audience": []}), "audience"),
        (json!({"algorithms": ["HS256"]}), "RS256, RS384"),
        (json!({"algorithms": ["none"]}), "RS256, RS384"),
        (json!({"algorithms": []}), "RS256, RS384"),
        (json!({"audiences": "x"}), "unknown field"),
    ] {
        let mut settings = issuer();
        let table = settings.as_object_mut().expect("a table");
        table.extend(change.as_object().expect("a table").clone());
        let error = serde_json::from_value::<IssuerSettings>(settings).expect_err("refused").to_string();
        assert!(error.contains(told), "{change}: {error}");
    }
}
