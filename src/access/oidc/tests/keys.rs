//! Keys of issuers: which are taken, and what their coming and going changes.

use super::*;
use crate::access::oidc::KeySetError;
use futures_util::FutureExt as _;

fn parsed(document: &str) -> Result<usize, KeySetError> {
    KeySet::parse(document.as_bytes()).map(|keys| keys.len())
}

#[test]
fn only_keys_for_signatures_are_taken() {
    let key = Key::new("one");
    let with = |changes: Value| {
        let mut jwk = key.jwk();
        jwk.as_object_mut().expect("a key").extend(changes.as_object().expect("changes").clone());
        set(&json!({"keys": [jwk]})).len()
    };
    assert_eq!(with(json!({"alg": "ES256", "key_ops": ["verify"], "x5c": ["AAAA"]})), 1);
    for changes in [
        json!({"use": "enc"}),
        json!({"use": "sig", "key_ops": ["sign"]}),
        json!({"alg": "ES384"}),
        json!({"alg": "HS256"}),
        json!({"kty": "oct", "k": "AAAA", "x": 1}),
        json!({"crv": "secp256k1"}),
        json!({"x": 7}),
        json!({"y": "not base64!"}),
        json!({"kid": 7}),
    ] {
        assert_eq!(with(changes.clone()), 0, "{changes}");
    }
    assert_eq!(set(&json!({"keys": [7, "x", null, key.jwk(), key.jwk()]})).len(), 1, "the same key twice is one");
}

#[test]
fn documents_that_are_no_key_set_are_refused() {
    for bad in ["", "{}", "[]", "null", "<html>", r#"{"keys": {}}"#, r#"{"keys": "x"}"#] {
        assert_eq!(parsed(bad), Err(KeySetError::NotASet), "{bad}");
    }
    assert_eq!(parsed(&json!({"keys": vec![json!({}); 1000]}).to_string()), Err(KeySetError::TooMany));
    assert_eq!(parsed(r#"{"keys": []}"#), Ok(0), "an issuer may take back all of its keys");
}

#[test]
fn two_keys_of_one_id_are_both_tried_and_a_token_without_id_needs_a_single_key() {
    let (one, twin, other) = (Key::new("one"), Key::new("one"), Key::new("other"));
    let judge = Judge::with(&[&one, &twin, &other]);
    for key in [&one, &twin, &other] {
        judge.judge(&key.sign(&claims(json!({})))).expect("accepted");
    }
    let without_id = |key: &Key| key.sign_with(&json!({"alg": "ES256"}), &claims(json!({})));
    assert!(matches!(judge.look(&without_id(&one)), Looked::KeysNeeded(0)), "which of them?");
    Judge::with(&[&one]).judge(&without_id(&one)).expect("accepted");
}

#[test]
fn id_of_a_key_is_only_compared() {
    let key = Key::new("one");
    let judge = Judge::with(&[&key]);
    for id in ["", "../one", "one\0", "ONE", "/etc/passwd", "one' OR '1'='1", "https://evil.example/one"] {
        let token = key.sign_with(&json!({"alg": "ES256", "kid": id}), &claims(json!({})));
        assert!(matches!(judge.look(&token), Looked::KeysNeeded(0)), "{id:?}");
    }
}

#[test]
fn key_that_was_rotated_away_opens_no_more_also_for_a_token_that_was_verified() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let judge = Judge::with(&[&old]);
    let (token, next) = (old.sign(&claims(json!({}))), new.sign(&claims(json!({}))));
    judge.judge(&token).expect("accepted");
    assert!(matches!(judge.look(&next), Looked::KeysNeeded(0)));
    judge.publish(vec![old.jwk(), new.jwk()]);
    judge.judge(&token).expect("both");
    judge.judge(&next).expect("both");
    judge.publish(vec![new.jwk()]);
    assert!(matches!(judge.look(&token), Looked::KeysNeeded(0)));
    judge.judge(&next).expect("accepted");
    judge.tokens.forget_keys(0);
    assert!(matches!(judge.look(&next), Looked::KeysNeeded(0)), "keys that are too old");
}

#[test]
fn unknown_key_waits_for_one_fetch() {
    let (key, other) = (Key::new("one"), Key::new("other"));
    let judge = Judge::of(issuer());
    let look = |token: &str, seconds| {
        let now = move || Now { age: Duration::from_secs(seconds), unix: Duration::from_secs(NOW) };
        let token = token.to_owned();
        let tokens = &judge.tokens;
        Box::pin(async move { tokens.look_with_new_keys(&token, 0, IpAddr::from([192, 0, 2, 1]), now).await })
    };
    let (good, unknown) = (key.sign(&claims(json!({}))), other.sign(&claims(json!({}))));
    let (mut first, mut second) = (look(&good, 0), look(&unknown, 0));
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    judge.tokens.begin_fetch(0, Duration::ZERO);
    judge.publish(vec![key.jwk()]);
    judge.tokens.end_fetch(0);
    assert!(matches!(first.now_or_never(), Some(Looked::Judged(Ok(_)))));
    let refused = |looked, expected| assert!(matches!(looked, Some(Looked::Judged(Err(why))) if why == expected));
    refused(second.now_or_never(), TokenRefusal::UnknownKey);
    refused(look(&unknown, 9).now_or_never(), TokenRefusal::UnknownKey);
    // As one that was looked at just before the fetch ended.
    assert!(matches!(look(&good, 9).now_or_never(), Some(Looked::Judged(Ok(_)))));
    judge.tokens.forget_keys(0);
    refused(look(&good, 9).now_or_never(), TokenRefusal::IssuerUnreachable);
    assert!(look(&unknown, 10).now_or_never().is_none(), "another fetch");
    judge.publish(vec![key.jwk()]);
    judge.tokens.begin_fetch(0, Duration::from_secs(10));
    judge.tokens.note_failed_fetch(0);
    judge.tokens.end_fetch(0);
    // It may be published by now.
    refused(look(&unknown, 11).now_or_never(), TokenRefusal::IssuerUnreachable);
    assert!(matches!(look(&good, 11).now_or_never(), Some(Looked::Judged(Ok(_)))));
}
