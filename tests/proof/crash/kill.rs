//! `kill -9` under load, again and again on one data directory.

use std::time::Duration;

use super::calls::API_KEY;
use super::crowd::Crowd;
use crate::proof::random::{Random, rounds};
use crate::support::certificate::scratch_directory;
use crate::support::spec::Spec;

const ROUNDS_IN_CI: usize = 50;

#[test]
fn nothing_is_lost_or_doubled_by_kill_minus_nine() {
    let mut random = Random::seeded("kill -9");
    let data = tempfile::tempdir_in(scratch_directory()).expect("a directory under target/ can be made");
    let mut server = Spec::durable(data.path()).api_key(API_KEY).start();
    let mut crowd = Crowd::new(&server, &mut random);
    let rounds = rounds(ROUNDS_IN_CI);
    for round in 1..=rounds {
        let before = crowd.answers();
        let load = Duration::from_millis(100 + random.below(150) as u64);
        crowd.work_until(load, || server.kill());
        let held = crowd.held();
        assert!(crowd.answers() > before, "round {round}: no request was answered, so nothing was tested");
        server = server.start_again();
        let complaints = crowd.verify(&server);
        assert!(complaints.is_empty(), "round {round}, {held} held:\n{}", complaints.join("\n"));
    }
    println!("kill -9: {rounds} rounds, {} answers, {} grants compared", crowd.answers(), crowd.grants());
}
