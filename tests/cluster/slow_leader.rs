//! A disk that takes seconds for a flush, on the leader alone.

use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::scenarios::{SIZE, turn};
use super::speaker::{Lock, Speaker, granted};

const FLUSH_MS: u64 = 6000;
/// Less than one flush: the service has gone on without that disk.
const GRANT_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn a_leader_whose_flushes_take_seconds_gives_way_and_says_so() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    let leader = fleet.leader();
    let other = fleet.ids().into_iter().find(|id| *id != leader).expect("there are others");
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
