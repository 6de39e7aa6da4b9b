//! Repeated failures: who is slowed, for how long, and who never is.

use std::future::Future as _;

use super::*;
use crate::access::throttle::Throttle;
use crate::base::address_group::AddressGroup;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn fail_times(access: &Access, times: u32, from: &str) {
    for n in 0..times {
        let verdict = access.check_here(&[&format!("wrong {n}")], ip(from), START);
        assert_eq!(verdict, Verdict::Wrong, "{n}");
    }
}

#[test]
fn further_failures_are_throttled_until_the_window_has_passed() {
    let access = strict(vec![plain_key("k")]);
    fail_times(&access, 3, HOME);
    let fail_at = |now| access.check_here(&["wrong"], ip(HOME), now);
    assert_eq!(fail_at(START), throttled(60));
    assert_eq!(fail_at(START + Duration::from_millis(59_001)), throttled(1));
    assert_eq!(fail_at(START + MINUTE - Duration::from_nanos(1)), throttled(1));
    // Failing while throttled did not prolong it.
    assert_eq!(fail_at(START + MINUTE), Verdict::Wrong);
}

#[test]
fn missing_credentials_are_no_failure() {
    let access = strict(vec![plain_key("k")]);
    for _ in 0..10 {
        assert_eq!(access.check_here(&[], ip(HOME), START), Verdict::Missing);
    }
    assert_eq!(access.check_here(&["wrong"], ip(HOME), START), Verdict::Wrong);
}

#[test]
fn valid_credential_is_never_throttled() {
    let access = strict(vec![password("ops", "pass"), plain_key("k")]);
    assert_eq!(name(access.check_here(&["pass"], ip(HOME), START)), "ops");
    fail_times(&access, 3, HOME);
    for _ in 0..10 {
        assert_eq!(access.check_here(&["wrong"], ip(HOME), START), throttled(60));
        let valid = |secret| access.check_fast(&[secret], ip(HOME), START).unwrap();
        assert_eq!(name(valid("k")), "command line", "a key not seen before, or seen");
        assert_eq!(name(valid("pass")), "ops", "a password seen before");
    }
    assert_eq!(access.check_here(&["wrong"], ip("192.0.2.2"), START), Verdict::Wrong);
}

#[test]
fn unseen_password_is_not_delayed_by_repeated_wrong_ones() {
    let access = strict(vec![password("ops", "pass")]);
    for _ in 0..3 {
        assert_eq!(access.check_here(&["stale"], ip(HOME), START), Verdict::Wrong);
    }
    for _ in 0..100 {
        assert_eq!(access.check_fast(&["stale"], ip(HOME), START), Some(throttled(60)));
    }
    assert_eq!(name(access.check_here(&["pass"], ip(HOME), START)), "ops");
}

#[test]
fn throttled_address_gets_one_verification_per_second() {
    let access = strict(vec![password("ops", "pass")]);
    fail_times(&access, 3, HOME);
    assert_eq!(access.check_here(&["guess 1"], ip(HOME), START), throttled(60));
    // Not judged, so not called wrong: it may be right, and may try again soon.
    assert_eq!(access.check_fast(&["guess 2"], ip(HOME), START), Some(throttled(1)));
    assert_eq!(access.check_fast(&["pass"], ip(HOME), START), Some(throttled(1)));
    let elsewhere = access.check_fast(&["guess 2"], ip("192.0.2.2"), START);
    assert_eq!(elsewhere, None, "another address has its own turns");

    let now = START + SECOND;
    assert_eq!(name(access.check_here(&["pass"], ip(HOME), now)), "ops");
    assert_eq!(name(access.check_fast(&["pass"], ip(HOME), now).unwrap()), "ops");
}

#[test]
fn addresses_are_grouped() {
    let group = |address: &str| AddressGroup::from(ip(address));
    assert_eq!(group("2001:db8:1:2::1"), group("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(group("2001:db8:1:2::1"), group("2001:db8:1:3::1"));
    assert_eq!(group("::ffff:192.0.2.1"), group("192.0.2.1"));
    assert_ne!(group("::ffff:192.0.2.1"), group("::ffff:192.0.2.2"));

    let access = strict(vec![plain_key("k")]);
    for host in 1..=3 {
        fail_times(&access, 1, &format!("2001:db8:1:2::{host}"));
    }
    let same_network = access.check_here(&["wrong"], ip("2001:db8:1:2::99"), START);
    assert_eq!(same_network, throttled(60));
}

#[test]
fn oldest_address_is_evicted() {
    let throttle = Throttle::new(1, MINUTE, 2);
    let fail = |address: &str, after| throttle.fail(ip(address).into(), START + after * SECOND);
    assert_eq!(fail("192.0.2.1", 0), None);
    assert_eq!(fail("192.0.2.2", 1), None);
    assert_eq!(fail("192.0.2.1", 2), Some(58));
    assert_eq!(fail("192.0.2.3", 3), None);
    assert_eq!(throttle.addresses(), 2);
    assert_eq!(fail("192.0.2.2", 4), Some(57), "the younger one is still remembered");
    assert_eq!(fail("192.0.2.1", 5), None, "the oldest is forgotten");
    assert_eq!(throttle.addresses(), 2);
}

#[test]
fn passed_windows_leave_no_trace() {
    let throttle = Throttle::new(1, MINUTE, 100);
    for host in 0..50 {
        throttle.fail(ip(&format!("192.0.2.{host}")).into(), START);
    }
    assert_eq!(throttle.addresses(), 50);
    assert_eq!(throttle.fail(ip("198.51.100.1").into(), START + MINUTE), None);
    assert_eq!(throttle.addresses(), 1);
}

#[test]
fn late_clock_reading_is_harmless() {
    let throttle = Throttle::new(1, MINUTE, 2);
    assert_eq!(throttle.fail(ip(HOME).into(), START), None);
    let earlier = START - SECOND;
    assert_eq!(throttle.fail(ip(HOME).into(), earlier), Some(61));
    assert!(throttle.take_verification(ip(HOME).into(), earlier));
    assert!(!throttle.may_verify(ip(HOME).into(), START - 2 * SECOND));
}

/// As plain passwords and hashed ones are, seen before or not.
#[test]
fn throttled_guesses_of_known_password_are_judged_once_per_second() {
    for credential in [plain_password("pass"), password("ops", "pass")] {
        let access = strict(vec![credential]);
        let elsewhere = ip("192.0.2.2");
        assert!(matches!(access.check_here(&["pass"], elsewhere, START), Verdict::Granted(_)));
        fail_times(&access, 3, HOME);
        assert_eq!(access.check_here(&["guess"], ip(HOME), START), throttled(60), "this second's turn");
        for secret in ["another guess", "pass"] {
            let verdict = access.check_here(&[secret], ip(HOME), START);
            assert_eq!(verdict, throttled(1), "{secret}: the answer must not tell which one is right");
        }
        assert!(matches!(access.check_here(&["pass"], ip(HOME), START + SECOND), Verdict::Granted(_)));
        let proved = access.check_fast(&["pass"], ip(HOME), START + SECOND).unwrap();
        assert!(matches!(proved, Verdict::Granted(_)), "it opened here before");
        assert!(matches!(access.check_fast(&["pass"], elsewhere, START), Some(Verdict::Granted(_))));
    }
}

#[test]
fn plain_passwords_are_hashed_and_the_same_secret_twice_is_still_found() {
    let access = access(vec![plain_password("pass")]);
    assert_eq!(access.check_fast(&["pass"], ip(HOME), START), None, "a hash has to be computed");
    let twins = vec![key("a", "pass", Role::Client, &[]), plain_password("pass")];
    let error = Access::new(twins, options()).unwrap_err().to_string();
    assert!(error.contains("have the same secret"), "{error}");
}

#[test]
fn caller_leaving_before_the_verdict_counts_as_failed() {
    let access = strict(vec![password("ops", "pass")]);
    for n in 0..3 {
        let guess = format!("guess {n}");
        let presented = [guess.as_str()];
        let mut check = std::pin::pin!(access.check(&presented, ip(HOME), START, || ()));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(check.as_mut().poll(&mut context).is_pending(), "nobody verifies");
    }
    assert_eq!(access.check_here(&["guess"], ip(HOME), START), throttled(60));
}
