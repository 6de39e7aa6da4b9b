//! Verdicts without passwords, the rights that they give, and what construction refuses.

use super::*;

const PHC_TAIL: &str = "$c2FsdCBvZiB0ZXN0cw$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";

#[test]
fn without_credentials_everybody_is_anonymous() {
    for anonymous_role in [Role::Admin, Role::Client] {
        let options = AccessOptions { anonymous_role, ..options() };
        let access = Access::new(Vec::new(), options).unwrap();
        assert!(access.is_open());
        for presented in [&[][..], &["whatever"], &[""]] {
            let verdict = access.check_fast(presented, ip(HOME), START);
            let expected = Verdict::Granted(Identity::anonymous(anonymous_role));
            assert_eq!(verdict, Some(expected));
        }
    }
}

#[test]
fn keys_are_judged_without_blocking() {
    let access = access(vec![plain_key("k1"), key("second", "k2", Role::Client, &[])]);
    assert!(!access.is_open());
    let check = |presented: &[&str]| access.check_fast(presented, ip(HOME), START).unwrap();
    assert_eq!(check(&[]), Verdict::Missing);
    for wrong in ["", "k", "k11", "K1", "k3"] {
        assert_eq!(check(&[wrong]), Verdict::Wrong, "{wrong}");
    }
    assert_eq!(name(check(&["k1"])), "command line");
    assert_eq!(name(check(&["k2"])), "second");
    assert_eq!(name(check(&["bad", "k2"])), "second");
    assert_eq!(check(&["1", "2", "3", "4", "k2"]), Verdict::Wrong, "too many to look at");
}

#[test]
fn each_of_many_keys_gets_its_own_identity() {
    let keys = (0..500).map(|n| key(&format!("n{n}"), &format!("k{n}"), Role::Client, &[]));
    let access = access(keys.collect());
    for n in (0..500).chain(0..500) {
        let verdict = access.check_fast(&[&format!("k{n}")], ip(HOME), START);
        assert_eq!(name(verdict.unwrap()), format!("n{n}"));
    }
}

#[test]
fn duplicate_secret_must_give_the_same_rights() {
    let twins = vec![plain_key("k"), key("same", "k", Role::Admin, &[]), plain_key("other")];
    let access = access(twins);
    assert_eq!(name(access.check_here(&["k"], ip(HOME), START)), "command line");
    assert_eq!(name(access.check_here(&["other"], ip(HOME), START)), "command line");

    for other in [key("b", "k", Role::Client, &[]), key("b", "k", Role::Admin, &["p"])] {
        let error = Access::new(vec![plain_key("k"), other], options());
        let expected = "credentials `command line` and `b` have the same secret but different rights";
        assert_eq!(error.unwrap_err().to_string(), expected);
    }
}

#[test]
fn empty_secrets_are_refused() {
    for credential in [plain_key(""), key("command line", "", Role::Client, &[])] {
        let error = Access::new(vec![credential], options()).unwrap_err();
        assert_eq!(error.to_string(), "the secret of credential `command line` is empty");
    }
}

#[test]
fn unusable_password_hashes_are_refused_by_name() {
    let rows = [
        ("hunter2".to_owned(), ""),
        ("$argon2id$v=19$m=8,t=1,p=1".to_owned(), "no salt"),
        ("$argon2id$v=19$m=8,t=1,p=1$c2FsdCBvZiB0ZXN0cw".to_owned(), "0 bytes long"),
        ("$argon2id$v=19$m=8,t=1,p=1$c2FsdCBvZiB0ZXN0cw$MTIzNDU2Nzg5MA".to_owned(), "10 bytes long"),
        (format!("$argon2i$v=19$m=8,t=1,p=1{PHC_TAIL}"), "argon2id, not argon2i"),
        (format!("$scrypt$ln=1{PHC_TAIL}"), "argon2id, not scrypt"),
        (format!("$argon2id$v=18$m=8,t=1,p=1{PHC_TAIL}"), ""),
        (format!("$argon2id$v=19$m=8,t=0,p=1{PHC_TAIL}"), ""),
        (format!("$argon2id$v=19$m=300000,t=1,p=1{PHC_TAIL}"), "300000 KiB"),
    ];
    for (phc, problem) in rows {
        let credential = Credential::PasswordHash { name: "ops".to_owned(), phc: phc.clone() };
        let error = Access::new(vec![credential], options());
        let message = error.expect_err(&phc).to_string();
        assert!(message.contains("credential `ops`") && message.contains(problem), "{message}");
    }
}

#[test]
fn options_have_a_least_value() {
    let least = AccessOptions {
        failures_per_window: 1,
        window: Duration::from_secs(1),
        max_addresses: 1,
        max_verifications: 1,
        max_refused: 1,
        ..options()
    };
    assert!(Access::new(Vec::new(), least.clone()).is_ok());
    let rows = [
        ("failures_per_window", AccessOptions { failures_per_window: 0, ..least.clone() }),
        ("window", AccessOptions { window: Duration::from_millis(999), ..least.clone() }),
        ("max_addresses", AccessOptions { max_addresses: 0, ..least.clone() }),
        ("max_verifications", AccessOptions { max_verifications: 0, ..least.clone() }),
        ("max_refused", AccessOptions { max_refused: 0, ..least }),
    ];
    for (option, options) in rows {
        let error = Access::new(Vec::new(), options).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{option}` must be at least 1")), "{error}");
    }
}

#[test]
fn made_hashes_are_accepted_and_salted() {
    let phc = hash_password("pass").unwrap();
    assert_ne!(phc, hash_password("pass").unwrap());
    let credential = Credential::PasswordHash { name: "ops".to_owned(), phc };
    let access = access(vec![credential]);
    assert_eq!(access.check_here(&["Pass"], ip(HOME), START), Verdict::Wrong);
    assert_eq!(name(access.check_here(&["pass"], ip(HOME), START)), "ops");

    let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hash_key("abc"), of_abc);
}

#[test]
fn two_keys_of_one_name_are_refused() {
    let keys = vec![key("ci", "a", Role::Client, &[]), key("ci", "b", Role::Admin, &[])];
    let error = Access::new(keys, options()).unwrap_err().to_string();
    assert_eq!(error, "two API keys are named `ci`: give each a name of its own in access.keys and access.keys_file");
}

#[test]
fn each_role_has_its_rights() {
    let rows = [(Role::Client, true, false), (Role::Admin, true, true), (Role::ReadOnly, false, false)];
    for (role, may_take, is_admin) in rows {
        let identity = Identity::new("x", role, &[]);
        assert_eq!(identity.may_take("any"), may_take, "{role:?}");
        assert_eq!(identity.may_write(), may_take, "{role:?}");
        assert_eq!(identity.is_admin(), is_admin, "{role:?}");
        assert_eq!(identity.may_administer("any"), is_admin, "{role:?}");
        assert!(identity.may_read("any"), "{role:?}");
    }
}

#[test]
fn prefixes_limit_every_role_to_their_names() {
    let prefixes = ["ci/".to_owned(), "Straße".to_owned()];
    let admin = Identity::new("x", Role::Admin, &prefixes);
    for covered in ["ci/", "ci/deploy", "Straße 1"] {
        assert!(admin.may_take(covered) && admin.may_read(covered) && admin.may_administer(covered));
    }
    for foreign in ["", "ci", "CI/deploy", "x/ci/", "Strasse"] {
        assert!(!admin.may_take(foreign) && !admin.may_read(foreign), "{foreign}");
        assert!(!admin.may_administer(foreign), "{foreign}");
    }
    let reader = Identity::new("x", Role::ReadOnly, &prefixes);
    assert!(reader.may_read("ci/deploy") && !reader.may_take("ci/deploy"));
}

#[test]
fn granted_identity_has_rights_of_its_credential() {
    let access =
        access(vec![key("ci", "k1", Role::Client, &["ci/"]), key("eyes", "k2", Role::ReadOnly, &[]), plain_key("k3")]);
    let identity = |secret: &str| match access.check_here(&[secret], ip(HOME), START) {
        Verdict::Granted(identity) => identity,
        other => panic!("{secret}: {other:?}"),
    };
    // Twice: recognised by its SHA-256 first, from memory then.
    for _ in 0..2 {
        assert!(identity("k1").may_take("ci/x") && !identity("k1").may_take("x"));
        assert_eq!(identity("k2").role, Role::ReadOnly);
        assert!(identity("k3").is_admin() && identity("k3").may_take("x"));
    }
}
