//! A disk that takes seconds for a flush, on the leader alone.

use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::scenarios::{SIZE, turn};
use super::speaker::{Lock, Speaker, granted};
use super::wire::API_KEY;
use crate::dialects::dialect_client::{DialectClient, Protocol};

const FLUSH_MS: u64 = 6000;
/// A connection without contact is closed after five seconds.
const LONG_FLUSH_MS: u64 = 12_000;
const UNREADY_FOR: Duration = Duration::from_secs(8);
/// Less than one flush: the service has gone on without that disk.
const GRANT_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn leader_with_slow_disk_is_replaced_and_warns() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    let leader = fleet.leader();
    let other = fleet.others(leader)[0];
    let mut speaker = Speaker::open(fleet.address(other));
    speaker.take(Lock::named("before").leased(3600.0));
    std::fs::write(&fleet.node(leader).flush_delay, FLUSH_MS.to_string()).expect("the delay can be set");
    let began = Instant::now();
    let grant = loop {
        let answer = speaker.try_lock(Lock::named("while").leased(3600.0).keyed("one"), GRANT_WITHIN);
        match answer.map(|answer| granted(&answer)) {
            Ok(Ok(grant)) => break grant,
            told => assert!(began.elapsed() < GRANT_WITHIN, "{told:?} after {:?}\n{}", began.elapsed(), fleet.told()),
        }
    };
    println!("granted after {:?}", began.elapsed());
    assert!(began.elapsed() < GRANT_WITHIN, "{:?}", began.elapsed());
    let led_by = fleet.ask(other, "/v1/cluster").and_then(|view| view["leader"].as_u64());
    assert_ne!(led_by, Some(leader));
    while !fleet.node(leader).stderr().contains("the data disk is slow") {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", fleet.told());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(fleet.ask(leader, "/readyz").is_none(), "a node whose disk is stalled is not ready");
    std::fs::remove_file(&fleet.node(leader).flush_delay).expect("the delay can be removed");
    let seen = loop {
        if let Some(seen) = fleet.ask(leader, "/v1/locks/while") {
            break seen;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{}", fleet.told());
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(seen["holders"][0]["fencing_token"].as_u64(), Some(grant.token));
}

/// Its leader hears of them all the time.
#[test]
fn connection_sessions_at_follower_outlive_slow_flush() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    let leader = fleet.leader();
    let others = fleet.others(leader);
    let (slow, other) = (others[0], others[1]);
    let mut holder = DialectClient::at(Protocol::LdlmGrpc, fleet.address(slow), API_KEY);
    holder.take("held").expect("it is free");
    std::fs::write(&fleet.node(slow).flush_delay, LONG_FLUSH_MS.to_string()).expect("the delay can be set");
    let mut writer = Speaker::open(fleet.address(other));
    let began = Instant::now();
    let mut unready = None;
    for number in 0.. {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", fleet.told());
        writer.take(Lock::named(&format!("written-{number}")).leased(3600.0));
        let now = fleet.ask(slow, "/readyz").is_none().then(|| unready.unwrap_or_else(Instant::now));
        unready = now;
        if now.is_some_and(|since| since.elapsed() > UNREADY_FOR) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    std::fs::remove_file(&fleet.node(slow).flush_delay).expect("the delay can be removed");
    let seen = fleet.ask(other, "/v1/locks/held").expect("it is shown");
    assert_eq!(seen["holders"].as_array().map(Vec::len), Some(1), "{seen}\n{}", fleet.told());
    let told = fleet.node(slow).stderr();
    assert!(!told.contains("a connection that carries a session is closed"), "{told}");
}
