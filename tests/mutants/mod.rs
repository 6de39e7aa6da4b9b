//! Each planted bug is caught by the test named beside it: the suite can fail, and for the right reason.
//!
//! This binary runs that test again: without the bug it must pass, and with the bug switched on (`src/mutants.rs`) it must
//! fail within 40 s.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::support::output::Captured;

/// Longer than a test waits in vain for what its bug keeps from happening.
const ENDS_WITHIN: Duration = Duration::from_secs(150);

/// Each line names a planted bug and the test that must catch it.
macro_rules! caught {
    ($($name:ident: $mutant:literal by $test:literal;)*) => {
        /// All planted bugs, each with the test that catches it.
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
    no_fsync_is_caught: "no-fsync" by "proof::crash::power::nothing_is_lost_by_a_power_loss";
    expiry_by_wall_clock_is_caught: "expiry-by-wall-clock" by "proof::wall_clock::wall_clock_step_forward_changes_no_lease";
    token_reused_is_caught: "token-reused" by "domain::tokens::released_token_is_never_reissued";
    lease_halved_is_caught: "lease-halved" by "domain::model::leases::hold_never_ends_before_its_lease";
    waiter_not_dropped_is_caught: "waiter-not-dropped"
        by "domain::cancels::cancelled_waiter_leaves_queue_and_is_notified";
    last_come_first_served_is_caught: "last-come-first-served" by "domain::queue::equal_priorities_are_granted_in_order_of_arrival";
    dedup_off_is_caught: "dedup-off" by "domain::duplicates::same_command_id_is_applied_once";
    stale_epoch_applied_is_caught: "stale-epoch-applied"
        by "domain::duplicates::entry_of_another_epoch_changes_nothing";
    touches_forgotten_is_caught: "touches-forgotten"
        by "domain::sessions::touch_restarts_the_idle_time_before_expiry";
    snapshot_without_queue_is_caught: "snapshot-without-queue"
        by "domain::model::snapshots::snapshot_plus_rest_of_log_equals_whole_log";
    lost_requests_granted_is_caught: "lost-requests-granted"
        by "domain::retries::orphaned_waiter_is_passed_over_and_keeps_its_place";
    answer_before_commit_is_caught: "answer-before-commit" by "simulation::planted::isolated_leader_grants_nothing";
    answer_before_flush_is_caught: "answer-before-flush" by "raft::standalone::entry_is_applied_only_after_its_flush";
    answer_before_flush_is_caught_by_power_loss: "answer-before-flush"
        by "simulation::planted::power_loss_of_a_node_alone_takes_back_no_answer";
    read_before_flush_is_caught: "answer-before-flush" by "engine::unflushed::reads_show_a_grant_only_after_its_flush";
    event_before_flush_is_caught: "answer-before-flush"
        by "engine::unflushed::readers_get_an_event_only_after_its_flush";
    snapshot_ahead_of_log_is_caught: "answer-before-flush"
        by "engine::unflushed::state_is_frozen_without_what_is_not_flushed";
    forward_twice_is_caught: "forward-twice" by "simulation::planted::forwarded_command_is_applied_once";
    no_leader_start_is_caught: "no-leader-start" by "simulation::planted::nodes_restarted_together_serve_again";
    old_term_resumed_is_caught: "old-term-resumed"
        by "raft::former_leader::former_leader_with_lost_log_end_is_repaired";
    lost_end_forgotten_is_caught: "lost-end-forgotten"
        by "raft::lost_end::node_with_lost_log_end_votes_for_no_candidate_without_it";
    vote_given_twice_is_caught: "vote-given-twice"
        by "raft::lost_end::lost_vote_is_not_given_again";
    directory_not_locked_is_caught: "directory-not-locked"
        by "disks::directory::second_process_is_refused_even_without_lock_files";
    removal_unseen_is_caught: "removal-unseen"
        by "disks::directory::process_ends_when_data_directory_is_removed";
    failed_flush_ignored_is_caught: "failed-flush-ignored"
        by "disks::failing::failed_flush_ends_process_and_keeps_answered_locks";
    unfit_snapshot_counts_is_caught: "unfit-snapshot-counts"
        by "disks::snapshots::unfit_snapshot_keeps_previous_and_is_retried";
    snapshot_space_not_reserved_is_caught: "snapshot-space-not-reserved"
        by "disks::full::disk_reserve_grows_with_table_and_releases_pass";
    full_disk_written_is_caught: "full-disk-written"
        by "disks::full::start_on_full_disk_serves_reads_and_recovers";
    non_members_accepted_is_caught: "non-members-accepted" by "raft::authorization::messages_of_non_member_are_refused";
    implausible_term_accepted_is_caught: "implausible-term-accepted"
        by "raft::authorization::implausible_term_is_refused";
    any_certificate_believed_is_caught: "any-certificate-believed"
        by "raft::tls::certificate_is_accepted_for_its_own_node_only";
    connection_limit_shared_is_caught: "connection-limit-shared" by "raft::tls::silent_connections_do_not_block_members";
    other_entries_believed_is_caught: "other-entries-believed"
        by "raft::authorization::conflicting_entry_at_applied_index_aborts_node";
    tables_not_compared_is_caught: "tables-not-compared"
        by "engine::comparing::node_whose_table_differs_is_quarantined";
    gap_hidden_is_caught: "gap-hidden" by "engine::events::dropped_events_are_a_gap_with_the_current_state";
    stale_leader_answer_is_caught: "stale-leader-answer"
        by "domain::leaders::nobody_else_is_elected_while_an_answer_can_be_relied_on";
    waiters_of_dead_nodes_kept_is_caught: "waiters-of-dead-nodes-kept"
        by "domain::leadership::only_attached_waiters_of_dead_incarnations_leave";
    reader_overtakes_writer_is_caught: "reader-overtakes-writer"
        by "domain::modes::reader_does_not_overtake_a_waiting_writer";
    set_granted_in_parts_is_caught: "set-granted-in-parts"
        by "domain::names::waiter_of_names_is_granted_once_it_heads_all_queues";
    second_upgrade_waits_is_caught: "second-upgrade-waits" by "domain::upgrades::second_upgrade_is_refused_at_once";
    lock_delay_forgotten_is_caught: "lock-delay-forgotten" by "domain::delays::expired_hold_delays_the_next_grant";
    end_not_remembered_is_caught: "end-not-remembered" by "domain::history::every_end_tells_how_it_came";
    frozen_waiter_granted_is_caught: "frozen-waiter-granted"
        by "domain::freezes::freeze_of_the_same_target_is_replaced";
    thawed_waiters_forgotten_is_caught: "thawed-waiters-forgotten"
        by "domain::freezes::frozen_name_is_refused_with_reason_and_end_and_a_waiter_is_parked";
    transfer_keeps_key_is_caught: "transfer-keeps-key"
        by "domain::transfers::transferred_hold_has_a_new_key_and_token_and_the_same_lease";
    deadlock_missed_is_caught: "deadlock-missed" by "domain::deadlocks::two_sessions_with_two_locks_are_a_deadlock";
}

pub fn expect_red(mutant: &str, test: &str) {
    expect_green(test);
    let (verdict, took) = run(test, Some(mutant));
    assert!(verdict.contains("test result: FAILED"), "{test} does not notice {mutant}:\n{verdict}");
    println!("{mutant}: red after {took:?}");
}

/// Checks once that the test passes without a bug, however many bugs it catches.
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

/// Runs one test in a process of its own; returns its output, and how long it took.
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
            // Both fail only if the process has ended already.
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
