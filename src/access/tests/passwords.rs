//! Passwords: verified once, then remembered; wrong ones too; and what is remembered is bounded.

use std::sync::Barrier;

use super::{
    digest::{Keyed, KeyedDigest},
    known_secrets::KnownSecrets,
    *,
};

fn digests(count: usize) -> Vec<KeyedDigest> {
    let keyed = Keyed::new().unwrap();
    (0..count).map(|n| keyed.digest(&n.to_string())).collect()
}

#[test]
fn password_is_verified_once_then_cached() {
    let access = access(vec![password("ops", "pass")]);
    assert_eq!(access.check_fast(&["pass"], ip(HOME), START), None);
    assert_eq!(name(access.check_here(&["pass"], ip(HOME), START)), "ops");
    let again = access.check_fast(&["pass"], ip(HOME), START);
    assert_eq!(name(again.unwrap()), "ops");
}

#[test]
fn wrong_password_is_verified_once() {
    let access = access(vec![password("ops", "pass")]);
    assert_eq!(access.check_fast(&["wrong"], ip(HOME), START), None);
    assert_eq!(access.check_here(&["wrong"], ip(HOME), START), Verdict::Wrong);
    assert_eq!(access.check_fast(&["wrong"], ip(HOME), START), Some(Verdict::Wrong));
}

#[test]
fn once_every_password_is_known_wrong_ones_cost_no_verification() {
    let access = access(vec![password("a", "pass a"), password("b", "pass b")]);
    assert_eq!(name(access.check_here(&["pass a"], ip(HOME), START)), "a");
    assert_eq!(access.check_fast(&["wrong"], ip(HOME), START), None);
    assert_eq!(name(access.check_here(&["pass b"], ip(HOME), START)), "b");
    assert_eq!(access.check_fast(&["wrong"], ip(HOME), START), Some(Verdict::Wrong));
}

#[test]
fn valid_secret_beside_wrong_ones_is_granted() {
    let access = access(vec![password("ops", "pass"), plain_key("k")]);
    assert_eq!(name(access.check_here(&["wrong", "pass"], ip(HOME), START)), "ops");
    let beside_unverified = access.check_fast(&["never seen", "k"], ip(HOME), START);
    assert_eq!(name(beside_unverified.unwrap()), "command line");
}

#[test]
fn empty_password_is_wrong_without_verification() {
    let access = access(vec![password("ops", "pass")]);
    assert_eq!(access.check_fast(&[""], ip(HOME), START), Some(Verdict::Wrong));
}

/// Many requests bring the same unseen password at the same moment; every one must be granted.
fn let_in_a_fleet(access: &Access) {
    const CLIENTS: usize = 64;
    let together = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                together.wait();
                assert_eq!(name(access.check_here(&["pass"], ip(HOME), START)), "ops");
            });
        }
    });
}

#[test]
fn simultaneous_clients_with_one_password_are_all_granted() {
    for _ in 0..20 {
        let_in_a_fleet(&access(vec![password("ops", "pass"), password("other", "more")]));
    }
}

#[test]
fn clients_behind_throttled_address_share_one_verification() {
    for _ in 0..20 {
        let access = strict(vec![password("ops", "pass"), password("other", "more")]);
        for wrong in ["1", "2", "3"] {
            assert_eq!(access.check_here(&[wrong], ip(HOME), START), Verdict::Wrong);
        }
        let_in_a_fleet(&access);
    }
}

#[test]
fn every_byte_of_a_digest_counts() {
    let (wanted, keyed) = (digest::sha256("x"), digest::Keyed::new().unwrap());
    assert!(keyed.digest_of(&wanted).matches(&keyed.digest_of(&wanted)));
    for byte in 0..32 {
        let mut near = wanted;
        near[byte] ^= 1;
        assert!(!keyed.digest_of(&near).matches(&keyed.digest_of(&wanted)), "{byte}");
        let near = ApiKey { sha256: near, ..api_key("near", "", Role::Client, &[]) };
        let check = |keys| access(keys).check_here(&["x"], ip(HOME), START);
        assert_eq!(check(vec![Credential::ApiKey(near.clone())]), Verdict::Wrong);
        assert_eq!(name(check(vec![Credential::ApiKey(near), key("x", "x", Role::Client, &[])])), "x");
    }
}

#[test]
fn known_secrets_never_outgrow_their_table() {
    let known = KnownSecrets::for_credentials(3);
    let digests = digests(20);
    for (credential, digest) in digests.iter().enumerate() {
        known.remember(digest, credential);
        known.remember(digest, credential);
    }
    for (credential, digest) in digests.iter().enumerate() {
        let expected = (credential < 8).then_some(credential);
        assert_eq!(known.credential_of(digest), expected, "{credential}");
    }
}

/// Guesses queue from as many addresses as there are places; the first right one comes last.
#[test]
fn password_from_clean_address_is_verified_before_guesses() {
    let access = std::sync::Arc::new(access(vec![password("ops", "pass")]));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for host in 0..100 {
            // Each has failed once before.
            access.check(&["stale"], ip(&format!("192.0.2.{host}")), START, || access.work()).await;
        }
        let mut guesses = Vec::new();
        for n in 0..400 {
            let access = access.clone();
            let check = async move {
                let from = ip(&format!("192.0.2.{}", n % 100));
                access.check(&[&format!("guess {n}")], from, START, || ()).await
            };
            guesses.push(tokio::spawn(check));
        }
        // All of them ask once.
        for _ in 0..400 {
            tokio::task::yield_now().await;
        }
        let clean = access.check(&["pass"], ip("198.51.100.1"), START, || access.work()).await;
        assert_eq!(name(clean), "ops");
        for guess in guesses {
            assert!(!matches!(guess.await.unwrap(), Verdict::Granted(_)));
        }
    });
}
