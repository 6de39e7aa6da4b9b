//! A request that is repeated on another node, before or after a failover, gets the first result and is not applied twice.

use std::time::Duration;

use super::fleet::Fleet;
use super::scenarios::{SIZE, turn};
use super::speaker::{self, Lock, Speaker, body, granted};

/// How long a client waits before it gives a request up and asks elsewhere.
const IMPATIENT: Duration = Duration::from_millis(400);

#[test]
fn idempotency_key_gives_same_answer_after_failover() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    let leader = fleet.leader();
    let others = fleet.others(leader);
    let (first, second) = (fleet.address(others[0]), fleet.address(others[1]));
    let opened = speaker::session(fleet.address(leader), Some("opens")).expect("it is answered");
    let session = speaker::cookie(&opened).to_owned();
    let mut here = Speaker::with_session(first, &session);
    let mut there = Speaker::with_session(second, &session);
    let asked = Lock::named("job").leased(3600.0).keyed("once");
    let grant = here.take(asked);
    assert_eq!(there.take(asked), grant, "before a failover");
    let past = here.take(Lock::named("past").leased(3600.0));
    here.give_back("past", &past.key);
    fleet.node(leader).kill();
    let opened = speaker::session(second, Some("opens")).expect("it is answered");
    assert_eq!(speaker::cookie(&opened), session, "the same key opens the same session");
    for speaker in [&mut there, &mut here] {
        assert_eq!(speaker.take(asked), grant, "after a failover");
        let other = speaker.lock(Lock::named("another").leased(3600.0).keyed("once"));
        assert_eq!(other.status, 422, "another request under the same key: {}", other.text());
    }
    fleet.start_node(leader);
    fleet.wait_until_ready();
    for node in fleet.ids() {
        let shown = fleet.ask(node, "/v1/history?name=past").expect("it is answered");
        let ended = &shown["ended_holds"][0];
        assert_eq!((ended["fencing_token"].as_u64(), &ended["end"]), (Some(past.token), &"released".into()), "{shown}");
    }
    let mut back = Speaker::with_session(fleet.address(leader), &session);
    assert_eq!(back.take(asked), grant, "on the node that was away");
    there.give_back("job", &grant.key);
    for speaker in [&mut here, &mut there, &mut back] {
        let ended = speaker.lock(asked);
        assert_eq!(ended.status, 410, "what has ended is not granted again: {}", ended.text());
    }
    assert_eq!(here.look("job"), (None, 0));
}

#[test]
fn repeated_wait_keeps_its_queue_place() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    for (round, kills) in [false, true].into_iter().enumerate() {
        let leader = fleet.leader();
        let others = fleet.others(leader);
        let (first, second) = (fleet.address(others[0]), fleet.address(others[1]));
        let name = format!("queue-{round}");
        let asked = Lock::named(&name).leased(3600.0).waiting(20.0);
        let mut holder = Speaker::open(first);
        let held = holder.take(Lock::named(&name).leased(3600.0));
        // Its first request is lost with the leader, or given up.
        let mut patient = Speaker::open(fleet.address(leader));
        let mut elsewhere = Speaker::with_session(second, patient.session());
        let mut later = Speaker::open(first);
        std::thread::scope(|scope| {
            let lost = scope.spawn(move || patient.try_lock(asked.keyed("mine"), IMPATIENT));
            holder.sees_queue_of(&name, 1);
            let next = scope.spawn(move || granted(&later.lock(asked)));
            holder.sees_queue_of(&name, 2);
            if kills {
                fleet.node(leader).kill();
            }
            assert!(lost.join().expect("it does not panic").is_err(), "{name} cannot be granted yet");
            let retried = scope.spawn(move || granted(&elsewhere.lock(asked.keyed("mine"))));
            // Long enough to have arrived; were it not, the other would have the lock first and the test be red.
            std::thread::sleep(2 * IMPATIENT);
            holder.give_back(&name, &held.key);
            let first = retried.join().expect("it is answered").unwrap_or_else(|told| panic!("{name}: {told}"));
            assert_eq!(holder.look(&name), (Some(first.token), 1), "the other waits behind");
            holder.give_back(&name, &first.key);
            let second = next.join().expect("it is answered").unwrap_or_else(|told| panic!("{name}: {told}"));
            assert!(second.token > first.token);
        });
        if kills {
            fleet.start_node(leader);
            fleet.wait_until_ready();
        }
    }
}

/// What a request that was lost in a failover has made is there once, whoever asks for it again.
#[test]
fn request_lost_with_leader_is_applied_once() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    let leader = fleet.leader();
    let others = fleet.others(leader);
    let mut through_leader = Speaker::open(fleet.address(leader));
    let mut survivor = Speaker::with_session(fleet.address(others[0]), through_leader.session());
    // Slow enough that the leader dies between the log and the answer.
    fleet.nodes.iter().for_each(|node| std::fs::write(&node.flush_delay, "300").expect("the delay can be written"));
    let asked = Lock::named("job").leased(3600.0).keyed("once");
    std::thread::scope(|scope| {
        let lost = scope.spawn(move || through_leader.try_lock(asked, Duration::from_secs(5)));
        std::thread::sleep(Duration::from_millis(400));
        fleet.node(leader).kill();
        drop(lost.join().expect("it does not panic"));
    });
    fleet.nodes.iter().for_each(|node| std::fs::remove_file(&node.flush_delay).expect("the delay can be removed"));
    let grant = loop {
        let answer = survivor.lock(asked);
        match granted(&answer) {
            Ok(grant) => break grant,
            Err(told) => assert_eq!(answer.status, 503, "{told}"),
        }
    };
    assert_eq!(survivor.take(asked), grant);
    assert_eq!(survivor.look("job"), (Some(grant.token), 0));
    let mut stranger = Speaker::open(fleet.address(others[1]));
    assert_eq!(body(&stranger.lock(Lock::named("job")))["locked"], false);
}
