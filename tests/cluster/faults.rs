//! Faults that are injected into a cluster under load, each with its repair.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::fleet::Fleet;
use super::network::Cut;
use crate::proof::random::Random;
use crate::support::log_file::written;

/// Whom a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    Leader,
    Follower,
    Anyone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9`, and a start some time later.
    Kill(Whom),
    /// SIGSTOP for so many seconds at most.
    Pause(Whom, u64),
    /// SIGTERM, and a start when it has ended.
    Restart(Whom),
    /// The same of two, or of all, at once.
    RestartTwo,
    RestartAll,
    /// `kill -9` of two, or of all, and their start.
    KillTwo,
    KillAll,
    /// No packet between the node and the others, in these directions.
    Cut(Whom, Cut),
    /// Each flush of the log takes so many milliseconds longer.
    SlowDisk(Whom, u64),
    /// No room is left on the data disk for a while.
    FullDisk(Whom),
    /// The node comes back with an empty disk, is removed and added again.
    Wipe(Whom),
    /// The node never comes back; another takes its place.
    Replace(Whom),
    /// `kill -9`, and the end of the log is gone although it was flushed.
    CutLog(Whom),
    /// `kill -9`, and a byte of the log or the snapshot is another one; the node is removed and added again.
    Damage(Whom),
    /// The data directory is removed while the node runs; the node is removed and added again.
    RemoveDirectory(Whom),
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "the leader",
            Self::Follower => "a follower",
            Self::Anyone => "a node",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(whom) => write!(f, "{whom} is killed and started later"),
            Self::Pause(whom, seconds) => write!(f, "{whom} stands still for up to {seconds} s"),
            Self::Restart(whom) => write!(f, "{whom} is told to end and started anew"),
            Self::RestartTwo => f.write_str("two nodes at once are told to end and started anew"),
            Self::RestartAll => f.write_str("all nodes at once are told to end and started anew"),
            Self::KillTwo => f.write_str("two nodes at once are killed"),
            Self::KillAll => f.write_str("all nodes at once are killed"),
            Self::Cut(whom, Cut::Both) => write!(f, "{whom} is cut off from the others"),
            Self::Cut(whom, Cut::Inbound) => write!(f, "{whom} hears none of the others"),
            Self::Cut(whom, Cut::Outbound) => write!(f, "{whom} is heard by none of the others"),
            Self::SlowDisk(whom, ms) => write!(f, "each flush of {whom} takes {ms} ms longer"),
            Self::FullDisk(whom) => write!(f, "the disk of {whom} is full for a while"),
            Self::Wipe(whom) => write!(f, "{whom} comes back with an empty disk, is removed and added again"),
            Self::Replace(whom) => write!(f, "{whom} never comes back, another takes its place"),
            Self::CutLog(whom) => write!(f, "{whom} is killed, and flushed bytes at the end of its log are gone"),
            Self::Damage(whom) => write!(f, "{whom} is killed, and a byte of its log or snapshot has changed"),
            Self::RemoveDirectory(whom) => write!(f, "the data directory of {whom} is removed while it runs"),
        }
    }
}

impl Fault {
    /// Whether a cluster of `size` in this network can have it.
    pub fn fits(self, fleet: &Fleet) -> bool {
        let size = fleet.nodes.len();
        match self {
            Self::Cut(..) => size > 1 && fleet.network.can_cut(),
            Self::KillTwo | Self::RestartTwo => size > 2,
            Self::FullDisk(_) => fleet.nodes.iter().all(|node| node.disk.is_some()),
            Self::Wipe(_) | Self::Replace(_) | Self::CutLog(_) | Self::Damage(_) | Self::RemoveDirectory(_) => size > 2,
            Self::Kill(whom) | Self::Pause(whom, _) | Self::Restart(whom) | Self::SlowDisk(whom, _) => {
                size > 1 || whom != Whom::Follower
            }
            Self::KillAll | Self::RestartAll => true,
        }
    }

    /// Does it and undoes it; returns when every node runs again, which is not yet when all of them serve.
    pub fn strike(self, fleet: &mut Fleet, random: &mut Random) {
        match self {
            Self::Kill(whom) => {
                let node = whom.choose(fleet, random);
                kill_for_a_while(fleet, &[node], random);
            }
            Self::KillTwo => kill_for_a_while(fleet, &two_of(fleet, random), random),
            Self::KillAll => {
                let nodes = fleet.ids();
                kill_for_a_while(fleet, &nodes, random);
            }
            Self::Pause(whom, seconds) => {
                let node = whom.choose(fleet, random);
                fleet.node(node).signal(Signal::STOP);
                sleep(random, 1000..seconds * 1000);
                fleet.node(node).signal(Signal::CONT);
            }
            Self::Restart(whom) => restart(&[whom.choose(fleet, random)], fleet),
            Self::RestartTwo => restart(&two_of(fleet, random), fleet),
            Self::RestartAll => restart(&fleet.ids(), fleet),
            Self::Cut(whom, cut) => {
                let node = whom.choose(fleet, random);
                fleet.network.cut(&[node], cut);
                sleep(random, 1500..6000);
                fleet.network.heal();
            }
            Self::SlowDisk(whom, delay_ms) => {
                let node = whom.choose(fleet, random);
                let file = fleet.node(node).flush_delay.clone();
                std::fs::write(&file, delay_ms.to_string()).expect("the delay can be written");
                sleep(random, 2000..4000);
                std::fs::remove_file(&file).expect("the delay can be removed");
            }
            Self::FullDisk(whom) => fill_disk(whom.choose(fleet, random), fleet, random),
            Self::Wipe(whom) => wipe(whom.choose(fleet, random), fleet),
            Self::Replace(whom) => {
                let node = whom.choose(fleet, random);
                fleet.node(node).kill();
                fleet.remove(node);
                let added = fleet.add();
                fleet.join(added);
            }
            Self::CutLog(whom) => {
                let node = whom.choose(fleet, random);
                fleet.node(node).kill();
                cut_log(&fleet.node(node).data.join("log"), random);
                fleet.start_node(node);
            }
            Self::Damage(whom) => {
                let node = whom.choose(fleet, random);
                fleet.node(node).kill();
                change_a_byte(&fleet.node(node).data, random);
                fleet.start_node(node);
                ends_and_is_replaced(node, fleet, "is damaged at byte");
            }
            Self::RemoveDirectory(whom) => {
                let node = whom.choose(fleet, random);
                std::fs::remove_dir_all(&fleet.node(node).data).expect("it can be removed");
                ends_and_is_replaced(node, fleet, "the data directory was removed");
            }
        }
    }
}

/// The files of a folder that hold anything, in the order of their names.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries.filter(|file| size_of(file) > 0).collect();
    files.sort();
    files
}

fn size_of(file: &Path) -> u64 {
    std::fs::metadata(file).expect("a file").len()
}

fn cut_log(log: &Path, random: &mut Random) {
    let newest = files_in(log).pop().expect("a log");
    let cut = 1 + random.next() % 600;
    let file = std::fs::OpenOptions::new().write(true).open(&newest).expect("it can be opened");
    file.set_len(written(&newest).saturating_sub(cut)).expect("it can be cut");
}

/// Far from the end, which could be taken for a write that was under way.
fn change_a_byte(data: &Path, random: &mut Random) {
    let files = [files_in(&data.join("log")), files_in(&data.join("snapshot"))].concat();
    let file = &files[random.below(files.len())];
    let mut bytes = std::fs::read(file).expect("it can be read");
    let is_log = file.extension().is_some_and(|suffix| suffix == "wal");
    let place = if is_log { written(file) as usize } else { bytes.len() } / 3;
    bytes[place] ^= 0x20;
    std::fs::write(file, bytes).expect("it can be written");
}

/// A node that cannot trust its directory ends by itself, and an operator gives it an empty one.
fn ends_and_is_replaced(node: u64, fleet: &mut Fleet, because: &str) {
    let status = fleet.node(node).wait().expect("it ran");
    let told = fleet.node(node).stderr();
    assert!(!status.success() && told.contains(because), "node {node} ended with {status}:\n{told}");
    fleet.expel(node);
    if fleet.node(node).data.exists() {
        fleet.node(node).wipe();
    }
    fleet.start_node(node);
    fleet.join(node);
}

fn sleep(random: &mut Random, ms: Range<u64>) {
    let more = random.below(usize::try_from(ms.end - ms.start).expect("a short time"));
    std::thread::sleep(Duration::from_millis(ms.start + more as u64));
}

fn two_of(fleet: &Fleet, random: &mut Random) -> Vec<u64> {
    let mut nodes = fleet.ids();
    while nodes.len() > 2 {
        nodes.remove(random.below(nodes.len()));
    }
    nodes
}

fn restart(nodes: &[u64], fleet: &mut Fleet) {
    nodes.iter().for_each(|node| fleet.node(*node).signal(Signal::TERM));
    for &node in nodes {
        let status = fleet.node(node).wait().expect("it ran");
        assert!(status.success(), "SIGTERM ends node {node} with {status}:\n{}", fleet.told());
    }
    nodes.iter().for_each(|node| fleet.start_node(*node));
}

/// A node that cannot write its log ends; it comes back when there is room.
fn fill_disk(node: u64, fleet: &mut Fleet, random: &mut Random) {
    fleet.node(node).disk.as_ref().expect("its disk is small").fill();
    sleep(random, 2000..4000);
    fleet.node(node).disk.as_ref().expect("its disk is small").empty();
    if !fleet.node(node).is_running() {
        fleet.start_node(node);
    }
}

/// An empty disk under a known number may not take part, until an operator says that it is a new node.
fn wipe(node: u64, fleet: &mut Fleet) {
    fleet.node(node).kill();
    fleet.node(node).wipe();
    fleet.start_node(node);
    std::thread::sleep(Duration::from_secs(1));
    assert!(fleet.ask(node, "/readyz").is_none(), "node {node} serves with a wiped disk");
    if fleet.node(node).is_running() {
        fleet.node(node).kill();
    }
    fleet.expel(node);
    fleet.node(node).wipe();
    fleet.start_node(node);
    fleet.join(node);
}

impl Whom {
    fn choose(self, fleet: &mut Fleet, random: &mut Random) -> u64 {
        let leader = fleet.leader();
        let mut others = fleet.ids();
        match self {
            Self::Leader => return leader,
            Self::Follower => others.retain(|id| *id != leader),
            Self::Anyone => {}
        }
        others[random.below(others.len())]
    }
}

fn kill_for_a_while(fleet: &mut Fleet, nodes: &[u64], random: &mut Random) {
    nodes.iter().for_each(|node| fleet.node(*node).signal(Signal::KILL));
    for node in nodes {
        fleet.node(*node).wait();
    }
    std::thread::sleep(Duration::from_millis(random.below(3000) as u64));
    for node in nodes {
        fleet.start_node(*node);
        std::thread::sleep(Duration::from_millis(random.below(500) as u64));
    }
}
