//! Keys that come and go while the process runs.

use super::*;
use crate::access::{CertificateName, CertificateRule, ClientCertificate};
use crate::base::clock::set_wall_clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const NOW: u64 = 1_900_000_000;

fn reloadable(keys: Vec<ApiKey>) -> Access {
    let access = Access::new(Vec::new(), AccessOptions { may_reload: true, ..options() }).unwrap();
    reload(&access, keys).unwrap();
    access
}

fn reload(access: &Access, keys: Vec<ApiKey>) -> Result<(), AccessError> {
    access.reload(keys, Vec::new())
}

fn client(name: &str, secret: &str) -> ApiKey {
    api_key(name, secret, Role::Client, &[])
}

fn check(access: &Access, secret: &str) -> Verdict {
    access.check_fast(&[secret], ip(HOME), START).unwrap()
}

fn granted(access: &Access, secret: &str) -> Identity {
    match check(access, secret) {
        Verdict::Granted(identity) => identity,
        other => panic!("not granted: {other:?}"),
    }
}

#[test]
fn server_whose_last_key_is_gone_stays_closed() {
    let access = reloadable(Vec::new());
    assert!(!access.is_open());
    assert_eq!(access.check_fast(&[], ip(HOME), START), Some(Verdict::Missing));
    assert_eq!(check(&access, "k"), Verdict::Wrong);
}

#[test]
fn removed_key_ends_at_once_for_all_it_let_in() {
    let access = reloadable(vec![client("a", "ka"), client("b", "kb")]);
    let (a, b) = (granted(&access, "ka"), granted(&access, "kb"));
    let changes = b.ending().unwrap().changes();
    reload(&access, vec![client("b", "kb"), client("c", "kc")]).unwrap();
    assert_eq!(check(&access, "ka"), Verdict::Wrong);
    assert_eq!((a.is_valid(), b.is_valid()), (false, true));
    assert!(changes.has_changed().unwrap());
    assert_eq!(name(check(&access, "kc")), "c");
}

#[test]
fn mapping_of_a_certificate_that_stays_the_same_ends_nobody() {
    let rule = |name: &str, uri: &str, role| {
        let names = vec![CertificateName::Uri(uri.to_owned())];
        CertificateRule { name: name.to_owned(), names, role, prefixes: Vec::new() }
    };
    let access = reloadable(Vec::new());
    access.reload(Vec::new(), vec![rule("a", "x", Role::Client), rule("b", "y", Role::Client)]).unwrap();
    let [a, b] = ["x", "y"].map(|uri| {
        let names = vec![CertificateName::Uri(uri.to_owned())];
        access.of_certificate(&ClientCertificate::new(names, u64::from(u32::MAX), Arc::new(|| true))).unwrap()
    });
    access.reload(Vec::new(), vec![rule("b", "y", Role::Client), rule("a", "x", Role::ReadOnly)]).unwrap();
    assert_eq!((a.is_valid(), b.is_valid()), (false, true));
}

#[test]
fn certificate_is_looked_up_once_for_each_ring_and_follows_every_reload() {
    let rule = |role| {
        let names = vec![CertificateName::Uri("x".to_owned())];
        CertificateRule { name: "a".to_owned(), names, role, prefixes: Vec::new() }
    };
    let access = reloadable(Vec::new());
    let trusted = Arc::new(AtomicBool::new(true));
    let trust = Arc::clone(&trusted);
    let names = vec![CertificateName::Uri("x".to_owned())];
    let certificate = ClientCertificate::new(names, u64::from(u32::MAX), Arc::new(move || trust.load(Relaxed)));
    let caller = || access.of_certificate(&certificate);
    assert!(caller().is_none(), "no rule");
    access.reload(Vec::new(), vec![rule(Role::Client)]).unwrap();
    let (first, second) = (caller().unwrap(), caller().unwrap());
    assert_eq!(first.address(), second.address(), "each request costs a reference count");
    access.reload(Vec::new(), vec![rule(Role::Admin)]).unwrap();
    assert_eq!((caller().unwrap().role, first.is_valid()), (Role::Admin, false));
    trusted.store(false, Relaxed);
    assert!(caller().is_none(), "its authority is gone");
    trusted.store(true, Relaxed);
    access.reload(Vec::new(), Vec::new()).unwrap();
    assert!(caller().is_none(), "the rule is gone");
}

#[test]
fn key_with_other_rights_or_another_name_is_another_caller() {
    let access = reloadable(vec![client("a", "ka"), client("b", "kb")]);
    let (a, b) = (granted(&access, "ka"), granted(&access, "kb"));
    reload(&access, vec![api_key("a", "ka", Role::ReadOnly, &[]), client("c", "kb")]).unwrap();
    assert!(!a.is_valid() && !b.is_valid());
    assert_eq!((granted(&access, "ka").role, name(check(&access, "kb"))), (Role::ReadOnly, "c".to_owned()));
}

#[test]
fn refused_reload_changes_nothing() {
    let fixed = vec![key("fixed", "kf", Role::Admin, &[])];
    let access = Access::new(fixed, AccessOptions { may_reload: true, ..options() }).unwrap();
    reload(&access, vec![client("a", "ka")]).unwrap();
    let a = granted(&access, "ka");
    let until = |expires| ApiKey { expires: Some(expires), ..client("a", "ka") };
    for (refused, why) in [
        (vec![until(1), client("a", "other")], "two API keys are named `a`"),
        (vec![until(1), client("fixed", "other")], "two API keys are named `fixed`"),
        (vec![until(1), client("b", "kf")], "`fixed` and `b` have the same secret but different rights"),
        (vec![until(1), api_key("b", "ka", Role::Admin, &[])], "`a` and `b` have the same secret"),
        (vec![until(1), client("b", "")], "is empty"),
    ] {
        let error = reload(&access, refused).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(a.is_valid(), "{why}");
        assert_eq!(name(check(&access, "ka")), "a");
    }
    assert_eq!(name(check(&access, "kf")), "fixed");
}

#[test]
fn key_expires_by_the_wall_clock_and_may_be_prolonged() {
    let until = |expires| vec![ApiKey { expires: Some(expires), ..client("a", "ka") }];
    set_wall_clock(Box::new(|| Duration::from_secs(NOW)));
    let access = reloadable(until(NOW + 1));
    let a = granted(&access, "ka");
    assert!(a.is_valid());
    set_wall_clock(Box::new(|| Duration::from_secs(NOW + 1)));
    for _ in 0..100 {
        assert!(matches!(check(&access, "ka"), Verdict::Expired(_)), "no guess, so it is not throttled");
    }
    assert!(!a.is_valid());
    reload(&access, until(NOW + 2)).unwrap();
    assert!(a.is_valid(), "the same caller, for longer");
    assert_eq!(granted(&access, "ka").ending().unwrap().expires(), Some(NOW + 2));
    set_wall_clock(Box::new(|| Duration::from_secs(NOW + 3)));
    assert!(!a.is_valid());
    set_wall_clock(Box::new(|| Duration::from_secs(NOW)));
    assert!(a.is_valid(), "the clock was wrong");
}

#[test]
fn key_that_was_refused_as_a_password_opens_once_it_is_added() {
    let options = AccessOptions { may_reload: true, ..options() };
    let access = Access::new(vec![password("ops", "pass")], options).unwrap();
    assert_eq!(access.check_here(&["ka"], ip(HOME), START), Verdict::Wrong);
    reload(&access, vec![client("a", "ka")]).unwrap();
    assert_eq!(name(access.check_here(&["ka"], ip(HOME), START)), "a");
    reload(&access, Vec::new()).unwrap();
    assert_eq!(access.check_here(&["ka"], ip(HOME), START), Verdict::Wrong);
    assert_eq!(name(access.check_here(&["pass"], ip(HOME), START)), "ops");
}

#[test]
fn reload_under_load_lets_nobody_in_twice_or_out_between() {
    let keys = |from: usize| (from..from + 2_000).map(|n| client(&format!("n{n}"), &format!("k{n}"))).collect();
    let access = reloadable(keys(0));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (access, done) = (&access, &done);
        for _ in 0..2 {
            scope.spawn(move || {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    assert_eq!(name(check(access, "k1500")), "n1500", "it is in both files");
                    assert!(granted(access, "k1500").is_valid());
                }
            });
        }
        for round in 0..10 {
            reload(access, keys((round % 2) * 1_000)).unwrap();
            let (in_both, in_this) = (name(check(access, "k1500")), if round % 2 == 0 { "k0" } else { "k2999" });
            assert_eq!(in_both, "n1500");
            assert!(granted(access, in_this).is_valid());
            assert_eq!(access.keys().len(), 2_000);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
