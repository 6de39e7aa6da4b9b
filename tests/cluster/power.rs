//! All nodes lose their power at once, and everything that they had not flushed.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use super::fleet::Fleet;
use super::scenarios::{SIZE, turn};
use super::speaker::{Grant, Lock, Speaker, granted};
use crate::proof::crash::image::Mounted;
use crate::support::certificate::scratch_directory;

const ROUNDS: usize = 2;
const WORKERS: usize = 6;
/// Of each round, before the power is lost.
const GRANTS: usize = 60;
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Takes locks until nobody answers any more: what was answered.
fn work(at: SocketAddr, prefix: &str, answered: &AtomicUsize, kept: &Mutex<Vec<(String, Grant)>>) {
    let mut speaker = Speaker::open(at);
    for number in 0.. {
        let name = format!("{prefix}-{number}");
        let Ok(answer) = speaker.try_lock(Lock::named(&name).leased(36_000.0), ANSWER_WITHIN) else { return };
        if let Ok(grant) = granted(&answer) {
            kept.lock().expect("no worker panics").push((name, grant));
            answered.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[test]
fn power_loss_of_all_nodes_loses_no_answered_request() {
    let _turn = turn();
    let scratch = tempfile::tempdir_in(scratch_directory()).expect("a directory under target/ can be made");
    let image = |node: u64, round: usize| scratch.path().join(format!("disk-{node}-{round}.img"));
    let folder = |node: u64| scratch.path().join(format!("mnt-{node}"));
    // Unmounted after the processes have ended.
    let mut disks: Vec<(u64, Mounted)> = (1..=SIZE).map(|id| (id, Mounted::new(&image(id, 0), &folder(id)))).collect();
    let mut fleet = Fleet::prepare(SIZE, "");
    for (id, disk) in &disks {
        fleet.node(*id).data = disk.data();
    }
    fleet.launch();
    let kept = Mutex::new(Vec::new());
    for round in 1..=ROUNDS {
        let answered = AtomicUsize::new(0);
        let at: Vec<SocketAddr> = fleet.ids().into_iter().map(|id| fleet.address(id)).collect();
        std::thread::scope(|scope| {
            for worker in 0..WORKERS {
                let (at, answered, kept) = (at[worker % at.len()], &answered, &kept);
                scope.spawn(move || work(at, &format!("round-{round}-{worker}"), answered, kept));
            }
            while answered.load(Ordering::SeqCst) < GRANTS {
                std::thread::sleep(Duration::from_millis(2));
            }
            fleet.nodes.iter().for_each(|node| node.signal(Signal::STOP));
            for (id, disk) in &disks {
                disk.copy_to(&image(*id, round));
            }
            fleet.nodes.iter_mut().for_each(|node| node.kill());
        });
        disks.clear();
        for id in fleet.ids() {
            std::fs::remove_file(image(id, round - 1)).expect("the old disk can be removed");
            disks.push((id, Mounted::mount(&image(id, round), &folder(id))));
            fleet.start_node(id);
        }
        fleet.wait_until_ready();
        let kept = kept.lock().expect("no worker panics");
        let mut speaker = Speaker::open(at[round % at.len()]);
        for (name, grant) in kept.iter() {
            assert_eq!(speaker.look(name).0, Some(grant.token), "{name} after round {round}\n{}", fleet.told());
        }
        println!("round {round}: {} grants are there", kept.len());
    }
    fleet.nodes.iter_mut().for_each(|node| node.kill());
}
