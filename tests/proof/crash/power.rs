//! Power loss under load: the server is frozen, the disk copied as it is, and a server started on the copy.
//!
//! The control proves that the method sees a lost write: without fsync the same rounds must find one.

use std::path::PathBuf;
use std::time::Duration;

use super::calls::API_KEY;
use super::crowd::Crowd;
use super::image::Mounted;
use crate::proof::random::{Random, rounds};
use crate::support::certificate::scratch_directory;
use crate::support::spec::Spec;

const ROUNDS_IN_CI: usize = 10;
/// A single round shows it; a second one covers a crash that happened to hit an idle moment.
const CONTROL_ROUNDS: usize = 3;

#[test]
fn nothing_is_lost_by_a_power_loss() {
    let mut random = Random::seeded("power loss");
    let rounds = rounds(ROUNDS_IN_CI);
    let complaints = power_losses("power", rounds, "", &mut random);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn without_fsync_a_power_loss_is_noticed() {
    let mut random = Random::seeded("power loss without fsync");
    let complaints = power_losses("control", CONTROL_ROUNDS, "[storage]\nfsync = false\n", &mut random);
    assert!(!complaints.is_empty(), "{CONTROL_ROUNDS} power losses without fsync, and nothing was missed");
    println!("control: {} complaints, the first: {}", complaints.len(), complaints[0]);
}

/// Runs so many rounds, each on the disk that the last one left; stops at the first complaint.
fn power_losses(label: &str, rounds: usize, configuration: &str, random: &mut Random) -> Vec<String> {
    let scratch = tempfile::tempdir_in(scratch_directory()).expect("a directory under target/ can be made");
    let folder = scratch.path().join("mnt");
    let image = |round: usize| -> PathBuf { scratch.path().join(format!("disk-{round}.img")) };
    let mut disk = Mounted::new(&image(0), &folder);
    let spec = Spec::durable(&disk.data()).api_key(API_KEY).configuration(configuration);
    let mut server = spec.start();
    let mut crowd = Crowd::new(&server, random);
    for round in 1..=rounds {
        let before = crowd.answers();
        let load = Duration::from_millis(150 + random.below(250) as u64);
        crowd.work_until(load, || {
            server.freeze_whole();
            disk.copy_to(&image(round));
            // Only now do the workers see that nobody answers any more.
            server.kill();
        });
        assert!(crowd.answers() > before, "round {round}: no request was answered, so nothing was tested");
        drop(disk);
        std::fs::remove_file(image(round - 1)).expect("the old disk can be removed");
        disk = Mounted::mount(&image(round), &folder);
        server = match spec.try_start() {
            Ok(server) => server,
            Err(output) => return vec![format!("{label}, round {round}: {output}")],
        };
        let complaints = crowd.verify(&server);
        if !complaints.is_empty() {
            return complaints.into_iter().map(|what| format!("{label}, round {round}: {what}")).collect();
        }
    }
    println!("{label}: {rounds} rounds, {} answers, {} grants compared", crowd.answers(), crowd.grants());
    Vec::new()
}
