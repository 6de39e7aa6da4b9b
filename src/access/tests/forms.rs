//! Every form in which a request may carry a secret.

use super::*;

fn authorization(value: &str) -> Presented<'_> {
    presented_in_headers(Some(value.as_bytes()), None).authorization
}

fn secret(text: &str) -> Presented<'_> {
    Presented::Secret(text.into())
}

#[test]
fn authorization_header() {
    let rows = [
        ("Basic dXNlcjpwYXNz", secret("pass")),
        ("basic dXNlcjpwYXNz", secret("pass")),
        ("BASIC  dXNlcjpwYXNz ", secret("pass")),
        // Empty user, a password with colons, an empty password, UTF-8, and no padding.
        ("Basic OnBhc3M=", secret("pass")),
        ("Basic dTphOmI6Yw==", secret("a:b:c")),
        ("Basic dTphOmI6Yw", secret("a:b:c")),
        ("Basic dTo=", secret("")),
        ("Basic dTrDpA==", secret("ä")),
        // No colon, not base64, not UTF-8 inside, nothing.
        ("Basic cGFzcw==", Presented::Unreadable),
        ("Basic ???", Presented::Unreadable),
        ("Basic dTr/", Presented::Unreadable),
        ("Basic", Presented::Unreadable),
        ("Bearer t0ken", secret("t0ken")),
        ("bEARER  t0ken", secret("t0ken")),
        ("Bearer ", secret("")),
        // No scheme at all, as some clients send their password.
        ("pass", secret("pass")),
        ("two words", secret("two words")),
    ];
    for (value, expected) in rows {
        assert!(authorization(value) == expected, "{value}");
    }
}

#[test]
fn absent_and_unreadable_headers_differ() {
    let none = presented_in_headers(None, None);
    assert_eq!(none.secrets().count(), 0);
    let bytes = presented_in_headers(Some(b"Bearer \xff"), Some(b"\xff"));
    assert_eq!(bytes.authorization, Presented::Unreadable);
    assert_eq!(bytes.x_api_key, Presented::Unreadable);
    assert_eq!(bytes.secrets().collect::<Vec<_>>(), ["", ""]);
}

#[test]
fn both_headers_are_read() {
    let both = presented_in_headers(Some(b"Basic dXNlcjpwYXNz"), Some(b" k3y "));
    assert_eq!(both.secrets().collect::<Vec<_>>(), ["pass", "k3y"]);
}

#[test]
fn any_credential_opens_in_any_form() {
    let access = access(vec![password("the password", "pass"), plain_key("k3y")]);
    let forms = [
        (Some("Basic dXNlcjpwYXNz"), None, "the password"),
        (Some("Bearer pass"), None, "the password"),
        (Some("pass"), None, "the password"),
        (None, Some("pass"), "the password"),
        (Some("Basic dXNlcjprM3k="), None, "command line"),
        (Some("Bearer k3y"), None, "command line"),
        (None, Some("k3y"), "command line"),
        (Some("Bearer wrong"), Some("k3y"), "command line"),
        (Some("Basic ???"), Some("k3y"), "command line"),
    ];
    for (authorization, x_api_key, expected) in forms {
        let headers = presented_in_headers(authorization.map(str::as_bytes), x_api_key.map(str::as_bytes));
        let presented: Vec<_> = headers.secrets().collect();
        assert_eq!(name(access.check_here(&presented, ip(HOME), START)), expected);
    }
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        presented_in_headers(Some(b"Bearer hunter2"), Some(b"hunter2")),
        plain_key("hunter2"),
        password("hash", "hunter2"),
        access(vec![plain_key("hunter2")]),
    );
    assert!(shown.contains("command line"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains("$argon2"), "{shown}");
}
