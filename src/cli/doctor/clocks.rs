//! Wall clocks of nodes against that of this machine, from the `Date` of their answers. Leases do not depend on them.

use super::finding::Finding;

/// Audit lines, logs and certificates of machines that differ more cannot be compared.
const DIFFERENCE_MAX_SECONDS: u64 = 5;

/// How far a node's clock is ahead of ours, in seconds: between these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    pub least: i64,
    pub most: i64,
}

impl Ahead {
    /// From a date in whole seconds that was read between two moments of our clock, all in seconds since 1970.
    pub fn read(date: u64, before: u64, after: u64) -> Ahead {
        let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        // The server may have cut off, and kept, nearly a second each; our own seconds are cut off too.
        Ahead { least: signed(date) - signed(after) - 1, most: signed(date) + 2 - signed(before) }
    }

    /// How far two clocks differ at least, with the sign of the first.
    fn from(self, other: Ahead) -> i64 {
        match self {
            Ahead { least, .. } if least > other.most => least - other.most,
            Ahead { most, .. } if most < other.least => most - other.least,
            _ => 0,
        }
    }
}

const US: Ahead = Ahead { least: 0, most: 0 };

/// A finding for each node that differs from this machine, and for the first two nodes that differ from each other.
pub fn judge(nodes: &[(String, Ahead)]) -> Vec<Finding> {
    let is_far = |seconds: i64| seconds.unsigned_abs() > DIFFERENCE_MAX_SECONDS;
    let ours = nodes.iter().map(|(url, ahead)| (url, ahead.from(US))).filter(|(_, by)| is_far(*by)).map(|(url, by)| {
        let which = if by > 0 { "ahead of" } else { "behind" };
        let what = format!("its clock is {} s {which} that of this machine", by.unsigned_abs());
        Finding::warn(format!("{url} clock"), what, ADVICE)
    });
    let mut findings: Vec<Finding> = ours.collect();
    let pairs =
        nodes.iter().enumerate().flat_map(|(at, first)| nodes[at + 1..].iter().map(move |second| (first, second)));
    let far = pairs.map(|(first, second)| (first, second, first.1.from(second.1))).find(|(_, _, by)| is_far(*by));
    findings.extend(far.map(|((first, _), (second, _), by)| {
        let what = format!("the clocks of {first} and {second} differ by {} s", by.unsigned_abs());
        Finding::warn("clocks", what, ADVICE)
    }));
    match (findings.is_empty(), nodes.is_empty()) {
        (true, false) => vec![Finding::ok("clocks", "the clocks of this machine and of the nodes asked agree")],
        _ => findings,
    }
}

const ADVICE: &str =
    "synchronise the clocks (timedatectl set-ntp true): leases do not depend on them, but logs and certificates do";

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn judged(dates: &[(u64, u64)]) -> Vec<Finding> {
        let read = |(at, (date, took)): (usize, &(u64, u64))| (format!("n{at}"), Ahead::read(*date, 1000, 1000 + took));
        judge(&dates.iter().enumerate().map(read).collect::<Vec<_>>())
    }

    #[test]
    fn wrong_clock_is_found_and_slow_answer_is_not_blamed() {
        assert_eq!(judged(&[(1000, 0), (1004, 0), (1000, 60)])[0].level, Level::Ok);
        let ahead = judged(&[(1000, 0), (1100, 0)]);
        assert!(ahead[0].check == "n1 clock" && ahead[0].finding.contains("99 s ahead of"), "{ahead:?}");
        assert!(ahead[1].finding.contains("n0 and n1 differ by"), "{ahead:?}");
        assert!(judged(&[(100, 0)])[0].finding.contains("behind"));
        assert_eq!(judged(&[]), []);
    }
}
