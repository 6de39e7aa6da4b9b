//! Roles and prefixes.

use super::*;

#[test]
fn roles() {
    let rows = [(Role::Client, true, false), (Role::Admin, true, true), (Role::ReadOnly, false, false)];
    for (role, may_take, is_admin) in rows {
        let identity = Identity::new("x", role, &[]);
        assert_eq!(identity.may_take("any"), may_take, "{role}");
        assert_eq!(identity.may_write(), may_take, "{role}");
        assert_eq!(identity.is_admin(), is_admin, "{role}");
        assert_eq!(identity.may_administer("any"), is_admin, "{role}");
        assert!(identity.may_read("any"), "{role}");
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
