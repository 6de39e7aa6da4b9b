//! A node that starts on a full disk while the others have a quorum.

use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::scenarios::{SIZE, turn};
use super::speaker::{Lock, Speaker};
use super::wire::{Ask, Wire};

const PATIENCE: Duration = Duration::from_secs(30);
const SMALL_LOG: &str = "[storage]\nmin_free_bytes = \"4KiB\"\nsnapshot_log_bytes = \"1MiB\"\n";

/// What a node answers, as soon as it listens and says `wanted`.
fn text_with(fleet: &mut Fleet, node: u64, target: &str, wanted: &str) -> String {
    let began = Instant::now();
    loop {
        if let Ok(answer) = Wire::new(fleet.address(node)).send(&Ask::get(target), PATIENCE) {
            let text = answer.text();
            if text.contains(wanted) {
                return text;
            }
        }
        assert!(began.elapsed() < PATIENCE && fleet.node(node).is_running(), "node {node}:\n{}", fleet.told());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn node_on_full_disk_reports_it_while_others_serve() {
    let _turn = turn();
    let mut fleet = Fleet::prepare(SIZE, SMALL_LOG);
    fleet.use_small_disks();
    fleet.launch();
    let leader = fleet.leader();
    let node = fleet.others(leader)[0];
    let mut speaker = Speaker::open(fleet.address(leader));
    let before = speaker.take(Lock::named("before").leased(3600.0));
    // On its full disk this node could receive nothing more: neither the grant, nor that the grant is committed, which
    // its log has with the next entry.
    fleet.wait_for_holder(node, "before", before.token);
    speaker.take(Lock::named("next").leased(3600.0));
    fleet.wait_for_whole_log(node);
    fleet.node(node).kill();
    fleet.node(node).disk.as_ref().expect("its disk is small").fill();
    fleet.start_node(node);
    let told = text_with(&mut fleet, node, "/readyz", "disk is full");
    assert!(told.contains("storage.min_free_bytes"), "{told}");
    text_with(&mut fleet, node, "/v1/locks/before?consistency=stale", "fencing_token");
    let refused = Speaker::with_session(fleet.address(node), speaker.session()).lock(Lock::named("there").leased(60.0));
    assert!(
        refused.status == 503 && refused.text().contains("storage.min_free_bytes"),
        "{} {}",
        refused.status,
        refused.text()
    );
    let while_full = speaker.take(Lock::named("while").leased(3600.0));
    assert!(fleet.node(node).is_running(), "{}", fleet.told());
    fleet.node(node).disk.as_ref().expect("its disk is small").empty();
    fleet.wait_until_ready();
    let mut speaker = Speaker::with_session(fleet.address(node), speaker.session());
    assert_eq!(speaker.look("while").0, Some(while_full.token));
    // It looks at its disk now and then, and refuses new locks until it has seen the room.
    let began = Instant::now();
    loop {
        let answer = speaker.lock(Lock::named("after").leased(3600.0));
        if answer.status == 200 {
            break;
        }
        assert!(answer.text().contains("storage.min_free_bytes") && began.elapsed() < PATIENCE, "{}", answer.text());
        std::thread::sleep(Duration::from_millis(20));
    }
}
