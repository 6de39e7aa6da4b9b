//! Where nodes live: each in a network namespace of its own on a bridge, or all on loopback addresses without root.
//!
//! Namespaces and bridge carry the number of this process in their names, so that what a killed test left behind is
//! found and removed by the next one. They are removed when the network is dropped, also by a panic.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::proof::tools::{output, program, run};

/// First part of every name that is made here.
const PREFIX: &str = "ltc";

pub struct Network {
    kind: Kind,
    /// The third byte of every address.
    subnet: u8,
}

enum Kind {
    Loopback,
    Namespaces { bridge: String, nodes: Vec<u64> },
}

/// In which direction packets between nodes are dropped; clients still reach every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Both,
    /// The node hears no other.
    Inbound,
    /// No other hears the node.
    Outbound,
}

impl Network {
    /// Namespaces where root allows them, else loopback.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let subnet = u8::try_from((std::process::id() + number * 7) % 250 + 1).expect("it is below a byte");
        if !rustix::process::geteuid().is_root() {
            return Self { kind: Kind::Loopback, subnet };
        }
        forget_the_dead();
        let bridge = format!("{PREFIX}{}x{number}", std::process::id());
        let network = Self { kind: Kind::Namespaces { bridge: bridge.clone(), nodes: Vec::new() }, subnet };
        ip(&["link", "add", &bridge, "type", "bridge"]);
        ip(&["address", "add", &format!("{}/24", network.address_of(254)), "dev", &bridge]);
        ip(&["link", "set", &bridge, "up"]);
        network
    }

    /// Whether packets between nodes can be dropped here.
    pub fn can_cut(&self) -> bool {
        matches!(self.kind, Kind::Namespaces { .. })
    }

    pub fn address(&self, node: u64) -> IpAddr {
        IpAddr::V4(self.address_of(u8::try_from(node).expect("few nodes")))
    }

    fn address_of(&self, last: u8) -> Ipv4Addr {
        match self.kind {
            Kind::Loopback => Ipv4Addr::new(127, 77, self.subnet, last),
            Kind::Namespaces { .. } => Ipv4Addr::new(10, 177, self.subnet, last),
        }
    }

    /// Makes the place of a node.
    pub fn add(&mut self, node: u64) {
        let address = self.address(node);
        let Kind::Namespaces { bridge, nodes } = &mut self.kind else { return };
        nodes.push(node);
        let (space, outer) = (namespace(bridge, node), format!("{bridge}n{node}"));
        ip(&["netns", "add", &space]);
        ip(&["link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", &space]);
        ip(&["link", "set", &outer, "master", bridge, "up"]);
        ip(&["-n", &space, "address", "add", &format!("{address}/24"), "dev", "eth0"]);
        ip(&["-n", &space, "link", "set", "eth0", "up"]);
        ip(&["-n", &space, "link", "set", "lo", "up"]);
    }

    /// How to start `file` in the place of a node.
    pub fn command(&self, node: u64, file: &std::path::Path) -> Command {
        match &self.kind {
            Kind::Loopback => Command::new(file),
            Kind::Namespaces { bridge, .. } => {
                // `ip netns exec` replaces itself by the program, so the child's id is the program's.
                let mut command = program("ip");
                command.args(["netns", "exec", &namespace(bridge, node)]).arg(file);
                command
            }
        }
    }

    /// Drops what the nodes of `side` and all other nodes send each other.
    pub fn cut(&self, side: &[u64], cut: Cut) {
        let Kind::Namespaces { nodes, .. } = &self.kind else {
            panic!("partitions need network namespaces: run the tests as root");
        };
        let (inside, outside): (Vec<u64>, Vec<u64>) = nodes.iter().partition(|node| side.contains(node));
        for &node in nodes {
            let (deaf, muted) = match side.contains(&node) {
                true => (cut != Cut::Outbound, &outside),
                false => (cut != Cut::Inbound, &inside),
            };
            self.drop_from(node, if deaf { muted } else { &[] });
        }
    }

    /// Lets everything through again.
    pub fn heal(&self) {
        if let Kind::Namespaces { nodes, .. } = &self.kind {
            nodes.iter().for_each(|node| self.drop_from(*node, &[]));
        }
    }

    /// From now on `node` receives nothing from `others`, and from everybody else all.
    fn drop_from(&self, node: u64, others: &[u64]) {
        let Kind::Namespaces { bridge, .. } = &self.kind else { return };
        let mut rules = "table inet cut\ndelete table inet cut\n".to_owned();
        if !others.is_empty() {
            rules += "table inet cut {\nchain heard {\ntype filter hook input priority 0;\n";
            for other in others {
                rules += &format!("ip saddr {} drop\n", self.address(*other));
            }
            rules += "}\n}\n";
        }
        let mut nft = program("ip");
        nft.args(["netns", "exec", &namespace(bridge, node), "nft", "-f", "-"]);
        let mut child = nft.stdin(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{nft:?}: {error}"));
        child.stdin.take().expect("stdin is piped").write_all(rules.as_bytes()).expect("nft reads its rules");
        let status = child.wait().expect("nft can be waited for");
        assert!(status.success(), "nft did not take these rules (`make tools` installs it):\n{rules}");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Kind::Namespaces { bridge, nodes } = &self.kind {
            for &node in nodes {
                // The end of a namespace is the end of its half of the pair, and so of the other half.
                output(program("ip").args(["netns", "delete", &namespace(bridge, node)]));
            }
            output(program("ip").args(["link", "delete", bridge]));
        }
    }
}

fn namespace(bridge: &str, node: u64) -> String {
    format!("{bridge}-{node}")
}

fn ip(arguments: &[&str]) {
    run(program("ip").args(arguments));
}

/// Removes what test processes left behind that were killed.
fn forget_the_dead() {
    let listed = |arguments: &[&str]| run(program("ip").args(arguments));
    for line in listed(&["netns", "list"]).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        if is_of_the_dead(name) {
            // Another test process may do the same at the same time.
            output(program("ip").args(["netns", "delete", name]));
        }
    }
    for line in listed(&["-o", "link", "show", "type", "bridge"]).lines() {
        let name = line.split(": ").nth(1).unwrap_or_default();
        if is_of_the_dead(name) {
            output(program("ip").args(["link", "delete", name]));
        }
    }
}

fn is_of_the_dead(name: &str) -> bool {
    let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('x'));
    process.is_some_and(|(process, _)| !std::path::Path::new("/proc").join(process).exists())
}
