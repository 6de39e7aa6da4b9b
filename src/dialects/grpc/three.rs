#[test]
fn three_nodes_through_kills_of_one_two_and_all() {
    let faults = [
        Fault::Kill(Whom::Leader),
        Fault::Kill(Whom::Follower),
        Fault::KillTwo,
        Fault::KillAll,
        Fault::Restart(Whom::Leader),
    ];
    clean("kills", SIZE, &faults);
}

#[test]
fn three_nodes_through_partitions() {
    let faults = [
        Fault::Cut(Whom::Leader, Cut::Both),
        Fault::Cut(Whom::Leader, Cut::Inbound),
        Fault::Cut(Whom::Leader, Cut::Outbound),
        Fault::Cut(Whom::Follower, Cut::Both),
    ];
    clean("partitions", SIZE, &faults);
}

#[test]
fn three_nodes_through_pauses_and_slow_disks() {
    let faults = [
        Fault::Pause(Whom::Leader, 3),
        Fault::SlowDisk(Whom::Leader, 150),
        Fault::Pause(Whom::Anyone, 10),
        Fault::SlowDisk(Whom::Follower, 400),
    ];
    clean("pauses", SIZE, &faults);
}
