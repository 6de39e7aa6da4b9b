//! Planted bugs, each caught by the test that is named for it: the suite can fail, and for the right reason.
//!
//! This binary runs that one test again, first without the bug, when it must be green, then with the bug switched on
//! (`src/mutants.rs`), and wants it red within 20 s.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::support::output::Captured;

const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// Each line a planted bug and the test that must catch it.
macro_rules! caught {
    ($($name:ident: $mutant:literal by $test:literal;)*) => {
        /// All of them: the bug, and the test that catches it.
        pub const PLANTED: &[(&str, &str)] = &[$(($mutant, $test)),*];

        $(
            #[test]
            #[cfg_attr(not(feature = "mutants"), ignore = "needs --features mutants, as in `make test`")]
            fn $name() {
                expect_red($mutant, $test);
            }
        )*
    };
}

caught! {
    a_write_that_is_not_flushed: "no-fsync" by "proof::crash::power::nothing_is_lost_by_a_power_loss";
    a_lease_by_the_wall_clock: "expiry-by-wall-clock" by "proof::wall_clock::the_wall_clock_steps_forward";
    a_token_given_twice: "token-reused" by "domain::tokens::released_token_is_never_reissued";
    a_lease_cut_in_half: "lease-halved" by "domain::model::leases::hold_never_ends_before_its_lease";
    a_waiter_that_stays_after_its_cancel: "waiter-not-dropped"
        by "domain::cancels::cancelled_waiter_leaves_queue_and_is_notified";
    a_queue_upside_down: "last-come-first-served" by "domain::queue::equal_priorities_are_granted_in_order_of_arrival";
    a_command_applied_twice: "dedup-off" by "domain::duplicates::same_command_id_is_applied_once";
    an_entry_of_a_former_leader: "stale-epoch-applied"
        by "domain::duplicates::entry_of_another_epoch_changes_nothing";
    a_sighting_that_is_forgotten: "touches-forgotten"
        by "domain::sessions::touch_restarts_the_idle_time_before_expiry";
    a_snapshot_without_those_who_wait: "snapshot-without-queue"
        by "domain::model::snapshots::snapshot_plus_rest_of_log_equals_whole_log";
    a_lock_that_waits_for_a_lost_request: "lost-requests-granted"
        by "domain::retries::orphaned_waiter_is_passed_over_and_keeps_its_place";
    an_answer_before_the_quorum_has_it: "answer-before-commit" by "simulation::planted::a_leader_that_is_cut_off_grants_nothing";
    a_command_forwarded_twice: "forward-twice" by "simulation::planted::what_is_forwarded_is_done_once";
    a_leadership_without_its_barrier: "no-leader-start" by "simulation::planted::all_who_come_back_at_once_serve_again";
    a_leader_that_goes_on_in_its_old_term: "old-term-resumed"
        by "raft::former_leader::a_former_leader_whose_log_lost_its_end_is_repaired";
    a_vote_for_who_lacks_what_was_acknowledged: "lost-end-forgotten"
        by "raft::lost_end::a_node_that_lost_its_end_helps_nobody_to_lead_who_lacks_it";
    a_vote_that_was_lost_and_given_again: "vote-given-twice"
        by "raft::lost_end::a_vote_that_the_log_has_lost_is_not_given_again";
    two_processes_on_one_directory: "directory-not-locked"
        by "disks::directory::a_second_process_is_refused_also_when_the_lock_files_were_removed";
    a_removed_directory_that_nobody_misses: "removal-unseen"
        by "disks::directory::a_process_whose_data_directory_is_removed_ends";
    a_flush_that_failed_and_was_answered: "failed-flush-ignored"
        by "disks::failing::a_flush_that_fails_ends_the_process_and_what_was_answered_is_there";
    a_snapshot_that_counts_although_it_did_not_fit: "unfit-snapshot-counts"
        by "disks::snapshots::a_snapshot_that_does_not_fit_keeps_the_one_before_and_is_tried_again";
    a_reserve_that_does_not_grow: "reserve-as-configured"
        by "disks::full::the_reserve_grows_with_the_table_and_what_makes_room_passes";
    a_full_disk_that_is_written_to_at_each_start: "full-disk-written"
        by "disks::full::a_start_on_a_full_disk_serves_what_needs_no_disk_and_goes_on_when_there_is_room";
    a_stranger_who_is_heard: "strangers-believed" by "raft::trust::a_stranger_is_heard_in_nothing";
    a_term_out_of_nowhere: "any-term-believed"
        by "raft::trust::a_term_that_no_election_can_have_led_to_is_refused";
    a_certificate_for_every_node: "any-certificate-believed"
        by "raft::tls::a_certificate_opens_the_port_as_its_own_node_only";
    strangers_in_the_places_of_members: "one-room-for-all" by "raft::tls::silent_connections_keep_no_node_out";
    other_entries_where_some_are_applied: "other-entries-believed"
        by "raft::trust::an_entry_of_another_leadership_at_an_applied_index_stops_the_node";
    tables_that_nobody_compares: "tables-not-compared"
        by "engine::comparing::a_node_whose_table_differs_serves_nobody_and_the_others_go_on";
    a_hole_in_the_events: "gap-hidden" by "engine::events::what_was_pushed_out_is_a_gap_with_the_state_after_it";
    a_dead_node_whose_waiters_stay: "dead-requests-stay"
        by "domain::leadership::only_attached_waiters_of_dead_incarnations_leave";
}

pub fn expect_red(mutant: &str, test: &str) {
    expect_green(test);
    let (verdict, took) = run(test, Some(mutant));
    assert!(verdict.contains("test result: FAILED"), "{test} does not notice {mutant}:\n{verdict}");
    println!("{mutant}: red after {took:?}");
}

/// Without a bug the test passes; asked once, however many bugs it catches.
fn expect_green(test: &str) {
    static GREEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut green = GREEN.lock().unwrap_or_else(PoisonError::into_inner);
    if green.contains(test) {
        return;
    }
    let (verdict, took) = run(test, None);
    assert!(verdict.contains("test result: ok. 1 passed"), "{test} is red without any bug:\n{verdict}");
    println!("{test}: green after {took:?}");
    green.insert(test.to_owned());
}

/// Runs one test in a process of its own: what that wrote, and how long it took.
fn run(test: &str, mutant: Option<&str>) -> (String, Duration) {
    let began = Instant::now();
    let mut command = Command::new(std::env::current_exe().expect("the test binary has a path"));
    command.args(["--exact", "--include-ignored", test]).env("RUST_BACKTRACE", "0").env_remove("MUTANT");
    command.envs(mutant.map(|mutant| ("MUTANT", mutant)));
    // Red is red: no smaller case is needed.
    command.env("PROPTEST_MAX_SHRINK_ITERS", "0");
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let stdout = Captured::of(child.stdout.take().expect("stdout is piped"));
    let stderr = Captured::of(child.stderr.take().expect("stderr is piped"));
    while child.try_wait().expect("the child can be asked").is_none() {
        if began.elapsed() > ENDS_WITHIN {
            // Both fail only when the process has ended already.
            let _ = child.kill();
            let _ = child.wait();
            panic!("{test} with {mutant:?} is neither red nor green after {ENDS_WITHIN:?}:\n{}", stdout.finish());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let told = stdout.finish();
    assert!(told.contains("running 1 test\n"), "there is no test {test}:\n{told}{}", stderr.finish());
    (told, began.elapsed())
}
