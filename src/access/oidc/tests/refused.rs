//! Everything that is wrong with a token.

use super::*;
use proptest::prelude::*;
use ring::hmac;

#[test]
fn wrong_claims_are_refused_by_name() {
    let key = Key::new("one");
    let judge = Judge::with(&[&key]);
    for (changes, expected) in [
        (json!({"iss": "https://other.example"}), TokenRefusal::UnknownIssuer),
        (json!({"iss": format!("{ISSUER}/")}), TokenRefusal::UnknownIssuer),
        (json!({"iss": [ISSUER]}), TokenRefusal::UnknownIssuer),
        (json!({"iss": null}), TokenRefusal::UnknownIssuer),
        (json!({"exp": NOW - 61}), TokenRefusal::Expired),
        (json!({"exp": null}), TokenRefusal::Expired),
        (json!({"exp": "9999999999"}), TokenRefusal::Unreadable),
        (json!({"exp": 1e300}), TokenRefusal::LivesTooLong),
        (json!({"exp": -1e300}), TokenRefusal::Expired),
        (json!({"exp": NOW + 90_000}), TokenRefusal::LivesTooLong),
        (json!({"exp": NOW + 90_000, "iat": null, "nbf": null}), TokenRefusal::LivesTooLong),
        (json!({"nbf": NOW + 61}), TokenRefusal::NotYetValid),
        (json!({"iat": NOW + 61}), TokenRefusal::NotYetValid),
        (json!({"iat": "x"}), TokenRefusal::Unreadable),
        (json!({"aud": "other"}), TokenRefusal::Audience),
        (json!({"sub": null}), TokenRefusal::Subject),
        (json!({"sub": ""}), TokenRefusal::Subject),
        (json!({"sub": "s".repeat(1025)}), TokenRefusal::Subject),
        (json!({"repository": "evil/app"}), TokenRefusal::NoRule),
        (json!({"repository": null}), TokenRefusal::NoRule),
    ] {
        assert_eq!(judge.judge(&key.sign(&claims(changes.clone()))), Err(expected), "{changes}");
    }
}

#[test]
fn wrong_headers_are_refused_and_keys_in_them_are_not_used() {
    let (key, evil) = (Key::new("one"), Key::new("evil"));
    let judge = Judge::with(&[&key]);
    let with = |changes: Value| {
        let mut header = key.header();
        header.as_object_mut().expect("a header").extend(changes.as_object().expect("changes").clone());
        header
    };
    for (changes, expected) in [
        (json!({"alg": "none"}), TokenRefusal::Algorithm),
        (json!({"alg": "None"}), TokenRefusal::Algorithm),
        (json!({"alg": "ES256K"}), TokenRefusal::Algorithm),
        (json!({"alg": "HS256"}), TokenRefusal::Algorithm),
        (json!({"typ": "logout+jwt"}), TokenRefusal::Extension),
        (json!({"crit": []}), TokenRefusal::Extension),
        (json!({"crit": ["b64"], "b64": false}), TokenRefusal::Extension),
    ] {
        assert_eq!(judge.judge(&key.sign_with(&with(changes.clone()), &claims(json!({})))), Err(expected), "{changes}");
    }
    let brought =
        json!({"jwk": evil.jwk(), "jku": "https://evil.example/keys", "x5u": "https://evil.example", "x5c": ["AAAA"]});
    assert_eq!(judge.judge(&evil.sign_with(&with(brought.clone()), &claims(json!({})))), Err(TokenRefusal::Signature));
    judge.judge(&key.sign_with(&with(brought), &claims(json!({})))).expect("they are not looked at");
    for typ in ["jwt", "application/JWT", "at+jwt"] {
        judge.judge(&key.sign_with(&with(json!({"typ": typ})), &claims(json!({})))).expect(typ);
    }
}

#[test]
fn public_key_is_no_shared_secret() {
    let key = Key::new("one");
    let judge = Judge::with(&[&key]);
    let header = json!({"alg": "HS256", "kid": "one"});
    let message = message(&header, &claims(json!({})));
    for secret in [key.jwk().to_string().into_bytes(), key.pair.public_key().as_ref().to_vec()] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
        let token = format!("{message}.{}", BASE64.encode(tag.as_ref()));
        assert_eq!(judge.judge(&token), Err(TokenRefusal::Algorithm));
    }
}

#[test]
fn unsigned_cut_and_changed_tokens_are_refused() {
    let key = Key::new("one");
    let mut judge = Judge::with(&[&key]);
    let token = key.sign(&claims(json!({})));
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let (header, _) = message.split_once('.').expect("two parts");
    let other = BASE64.encode(claims(json!({"repository": "acme/other"})).to_string());
    for wrong in [
        format!("{message}."),
        format!("{message}.{}", &signature[..signature.len() - 4]),
        format!("{message}.{signature}AAAA"),
        format!("{message}.{}", BASE64.encode([0; 64])),
        format!("{header}.{other}.{signature}"),
    ] {
        judge.age += Duration::from_secs(60);
        assert_eq!(judge.judge(&wrong), Err(TokenRefusal::Signature), "{wrong}");
    }
    for unreadable in
        [format!("{header}.!.{signature}"), format!("{header}..{signature}"), format!("{header}.W10.{signature}")]
    {
        assert_eq!(judge.judge(&unreadable), Err(TokenRefusal::Unreadable));
    }
    let long = key.sign(&claims(json!({"x": "y".repeat(64 << 10)})));
    assert_eq!(judge.judge(&long), Err(TokenRefusal::TooLong));
    let deep = format!("{header}.{}.{signature}", BASE64.encode("[".repeat(9_000)));
    assert_eq!(judge.judge(&deep), Err(TokenRefusal::Unreadable));
}

#[test]
fn other_secrets_are_no_tokens() {
    let judge = Judge::with(&[&Key::new("one")]);
    for secret in ["", "correct horse", "e..", "eyJ.x.y", "a.b.c", "eyJhbGciOjF9.x.y", "e.e.e.e", "W10.W10.W10"] {
        assert!(matches!(judge.look(secret), Looked::NoToken), "{secret}");
    }
}

#[test]
fn wrong_signatures_of_an_address_are_verified_once_a_second() {
    let (key, evil) = (Key::new("one"), Key::new("one"));
    let mut judge = Judge::with(&[&key]);
    let known = key.sign(&claims(json!({"jti": "known"})));
    judge.judge(&known).expect("accepted");
    let forged = |n: u32| evil.sign(&claims(json!({"jti": n.to_string()})));
    let refused: Vec<_> = (0..12).map(|n| judge.judge(&forged(n)).expect_err("forged")).collect();
    assert_eq!(refused[..10], [TokenRefusal::Signature; 10]);
    assert_eq!(refused[10..], [TokenRefusal::Signature, TokenRefusal::NotNow]);
    judge.judge(&known).expect("one that was verified before costs nothing");
    let new = key.sign(&claims(json!({"jti": "new"})));
    assert_eq!(judge.judge(&new), Err(TokenRefusal::NotNow));
    judge.age += Duration::from_secs(1);
    judge.judge(&new).expect("its turn");
}

#[test]
fn tokens_that_open_nothing_keep_nobody_at_their_address_waiting() {
    let key = Key::new("a");
    let judge = Judge::with(&[&key]);
    let of = |audience: &str, n: u32| key.sign(&claims(json!({"aud": audience, "jti": n.to_string()})));
    for n in 0..30 {
        assert_eq!(judge.judge(&of("elsewhere", n)), Err(TokenRefusal::Audience));
    }
    assert_eq!(judge.judge(&of("elsewhere", 7)), Err(TokenRefusal::Audience), "the same again");
    judge.judge(&key.sign(&claims(json!({})))).expect("another job behind the same address");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_opens_or_panics(header in ".{0,40}", claims in ".{0,40}", rest in "[A-Za-z0-9_.-]{0,40}", raw in "e.{0,60}") {
        let judge = Judge::with(&[]);
        let mut texts = vec![raw];
        texts.push(format!("{}.{}.{rest}", BASE64.encode(&header), BASE64.encode(&claims)));
        texts.push(format!("{}.{}.{rest}", BASE64.encode(r#"{"alg":"ES256"}"#), BASE64.encode(&claims)));
        for text in texts {
            prop_assert!(!matches!(judge.look(&text), Looked::Judged(Ok(_))));
        }
    }
}
