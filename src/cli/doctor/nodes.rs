//! What each node of the running service says, and what that means.

use std::collections::BTreeSet;
use std::time::Duration;

use super::answers::Unanswered;
use super::clocks::{self, Ahead};
use super::finding::Finding;
use super::{certificates, exposition};
use crate::client::{Client, Cluster, served_certificate};
use crate::server::inspection;

/// What one URL answered.
pub struct Report {
    pub url: String,
    pub ready: Result<(), Unanswered>,
    pub cluster: Result<Cluster, Unanswered>,
    pub metrics: Result<String, Unanswered>,
    /// `None`: its answers have no date.
    pub clock: Option<Ahead>,
    /// In DER, of https.
    pub certificate: Option<Result<Vec<u8>, String>>,
}

/// Asks one URL for everything, at the same time.
pub async fn ask(url: String, client: Client, timeout: Duration) -> Report {
    let clock = async {
        let before = inspection::unix_time().as_secs();
        let date = inspection::http_date(&client.date().await.ok()??)?;
        Some(Ahead::read(date, before, inspection::unix_time().as_secs()))
    };
    let certificate = async {
        if !url.starts_with("https:") {
            return None;
        }
        Some(served_certificate(&url, timeout).await.map(|der| der.to_vec()))
    };
    let (ready, cluster, metrics, clock, certificate) =
        tokio::join!(client.ready(), client.cluster(), client.metrics(), clock, certificate);
    Report {
        ready: ready.map(drop).map_err(Unanswered::from),
        cluster: cluster.map_err(Unanswered::from),
        metrics: metrics.map_err(Unanswered::from),
        clock,
        certificate,
        url,
    }
}

/// What the answers of all URLs mean.
pub fn judge(reports: &[Report], now: u64) -> Vec<Finding> {
    let mut findings: Vec<Finding> = reports.iter().flat_map(|report| of_one(report, now)).collect();
    let clocks: Vec<(String, Ahead)> =
        reports.iter().filter_map(|report| Some((report.url.clone(), report.clock?))).collect();
    findings.extend(clocks::judge(&clocks));
    findings.extend(versions(reports));
    let views = || reports.iter().filter_map(|report| report.cluster.as_ref().ok());
    if let Some(view) =
        views().find(|view| view.has_quorum && view.standing_detail.is_none()).or_else(|| views().next())
    {
        findings.extend(members(view));
        let seen: BTreeSet<u64> = views().map(|view| view.node).collect();
        findings.extend(unasked(view, &seen));
    }
    findings
}

fn of_one(report: &Report, now: u64) -> Vec<Finding> {
    let Report { url, ready, cluster, metrics, certificate, .. } = report;
    let mut findings = vec![match ready {
        Ok(()) => Finding::ok(format!("{url} ready"), "it is ready"),
        Err(why) => why.of_ready(url),
    }];
    if let Some(certificate) = certificate {
        findings.extend(served(url, certificate, now));
    }
    match cluster {
        Ok(cluster) => findings.extend(of_view(url, cluster)),
        // Without any answer, one line says it all.
        Err(_) if ready.is_err() && metrics.is_err() => return findings,
        Err(why) => findings.push(why.finding(url, "cluster", "give a credential that may see it")),
    }
    match metrics {
        Ok(text) => findings.extend(of_metrics(url, text)),
        // One line says it of both.
        Err(why) if why.refuses_credential() && cluster.is_err() => {}
        Err(why) => {
            let advice = "give a credential without prefixes (--api-key-file, LATCHD_API_KEY): /metrics shows every name's numbers";
            findings.push(why.finding(url, "metrics", advice));
        }
    }
    findings
}

fn served(url: &str, certificate: &Result<Vec<u8>, String>, now: u64) -> Vec<Finding> {
    let check = format!("{url} certificate");
    match certificate {
        Ok(der) => {
            let described = inspection::describe(&der.as_slice().into());
            certificates::judge(&check, "tls.cert", described.into_iter().collect(), now)
        }
        Err(why) => {
            vec![Finding::unknown(check, format!("it cannot be seen: {why}"), "check the address and the port")]
        }
    }
}

fn of_view(url: &str, cluster: &Cluster) -> Vec<Finding> {
    let check = format!("{url} cluster");
    if let Some(detail) = &cluster.standing_detail {
        let advice = "see docs/clusters.md";
        return vec![Finding::error(check, format!("node {}: {detail}", cluster.node), advice)];
    }
    vec![match (cluster.has_quorum, cluster.leader) {
        (true, Some(leader)) => {
            let level = cluster.feature_level;
            Finding::ok(
                check,
                format!("node {} knows leader {leader} with a quorum, feature level {level}", cluster.node),
            )
        }
        _ => Finding::error(
            check,
            format!("node {} knows no leader with a quorum: nothing is granted", cluster.node),
            "start the nodes that are down, or repair the network between them; see docs/clusters.md",
        ),
    }]
}

fn of_metrics(url: &str, text: &str) -> Vec<Finding> {
    let is = |name: &str, part: &str| exposition::value(text, name, part).is_some_and(|value| value > 0.0);
    let mut findings = Vec::new();
    if is("latchd_disk_nearly_full", "") {
        findings.push(Finding::error(
            format!("{url} disk"),
            "its data disk is nearly full: new locks are refused",
            "free some space on it; see docs/disks.md",
        ));
    }
    if is("latchd_log_flush_stalled_seconds", "") {
        findings.push(Finding::error(
            format!("{url} disk"),
            "a flush of its log hangs: no request is answered until it ends",
            "look at the disk and at the log of the kernel (dmesg)",
        ));
    }
    if is("latchd_audit_lines_total", "result=\"failed\"") {
        findings.push(Finding::warn(
            format!("{url} audit"),
            "lines of the audit log could not be written since it started",
            "look at audit.file and its disk; see docs/audit.md",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(format!("{url} metrics"), "they show neither a full disk nor a stalled log"));
    }
    findings
}

fn versions(reports: &[Report]) -> Vec<Finding> {
    let version = |report: &Report| {
        exposition::label(report.metrics.as_ref().ok()?, "latchd_build_info", "version").map(str::to_owned)
    };
    let found: BTreeSet<String> = reports.iter().filter_map(version).collect();
    let own = env!("CARGO_PKG_VERSION");
    let all = found.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    match found.len() {
        0 => Vec::new(),
        1 if all == own => vec![Finding::ok("versions", format!("all nodes asked run {all}, as this command"))],
        1 => {
            let what = format!("the nodes asked run {all}, and this command is of {own}");
            vec![Finding::warn("versions", what, "use the command of the nodes' release")]
        }
        _ => vec![Finding::warn(
            "versions",
            format!("the nodes run different releases: {all}"),
            "finish the upgrade: the feature level rises when the last node runs the newer one; see docs/versions.md",
        )],
    }
}

/// More than a follower lacks in passing.
const LAG_MAX_ENTRIES: u64 = 10_000;

fn members(cluster: &Cluster) -> Vec<Finding> {
    let voters = cluster.members.iter().filter(|member| member.role != "learner");
    let (count, up) = (voters.clone().count(), voters.filter(|member| member.up).count());
    let mut findings = Vec::new();
    for member in &cluster.members {
        let check = format!("node {}", member.node);
        if !member.up {
            let what = format!("it is down, as node {} sees it; {up} of {count} voters are up", cluster.node);
            findings.push(Finding::error(
                check,
                what,
                "start it; `latchd members remove` takes it out if its disk is lost",
            ));
        } else if let Some(lag) = member.lag_entries.filter(|lag| *lag > LAG_MAX_ENTRIES) {
            let what = format!("its log is {lag} entries behind the leader");
            findings.push(Finding::warn(
                check,
                what,
                "look at its disk and its network: it cannot take over meanwhile",
            ));
        } else if member.role == "learner" {
            let advice = format!("latchd members promote {}", member.node);
            findings.push(Finding::warn(check, "it has no vote yet", advice));
        }
    }
    if count > 1 && count % 2 == 0 {
        let what = format!("{count} nodes have a vote, which survive no more failures than {}", count - 1);
        findings.push(Finding::warn("members", what, "add one node, or remove one; see docs/clusters.md"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("members", format!("{up} of {count} voters are up, and their logs are complete")));
    }
    findings
}

/// Of nodes that no URL led to, only the leader's word is known.
fn unasked(cluster: &Cluster, seen: &BTreeSet<u64>) -> Option<Finding> {
    let missing: Vec<String> = cluster
        .members
        .iter()
        .filter(|member| !seen.contains(&member.node))
        .map(|member| member.node.to_string())
        .collect();
    let what = format!("version, clock, certificate and disk of node {} were not asked", missing.join(", "));
    let advice = "give the URL of every node, with commas between them (--url, LATCHD_URL)";
    (!missing.is_empty()).then(|| Finding::unknown("members", what, advice))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn cluster(node: u64, members: &[(u64, &str, bool, u64)]) -> Cluster {
        let member = |(node, role, up, lag): &(u64, &str, bool, u64)| serde_json::json!({"node": node, "address": "", "role": role, "up": up, "lag_entries": lag});
        let members: Vec<serde_json::Value> = members.iter().map(member).collect();
        let view = serde_json::json!({
            "node": node, "leader": 1, "term": 1, "standing": "member", "standing_detail": null, "has_quorum": true,
            "feature_level": 9, "applied_index": 7, "members": members,
        });
        serde_json::from_value(view).expect("a view")
    }

    fn report(node: u64, version: &str, members: &[(u64, &str, bool, u64)]) -> Report {
        Report {
            url: format!("https://n{node}"),
            ready: Ok(()),
            cluster: Ok(cluster(node, members)),
            metrics: Ok(format!("latchd_build_info{{version=\"{version}\"}} 1\nlatchd_disk_nearly_full 0\n")),
            clock: Some(Ahead::read(1000, 1000, 1000)),
            certificate: None,
        }
    }

    fn bad(reports: &[Report]) -> Vec<(Level, String)> {
        let found = judge(reports, 1000).into_iter().filter(|finding| finding.level != Level::Ok);
        found.map(|finding| (finding.level, format!("{}: {}", finding.check, finding.finding))).collect()
    }

    const OWN: &str = env!("CARGO_PKG_VERSION");
    const HEALTHY: [(u64, &str, bool, u64); 3] =
        [(1, "leader", true, 0), (2, "follower", true, 3), (3, "follower", true, 0)];

    #[test]
    fn healthy_cluster_has_nothing_to_complain_of() {
        let reports = [1, 2, 3].map(|node| report(node, OWN, &HEALTHY));
        assert_eq!(bad(&reports), []);
        assert_eq!(
            bad(&reports[..1]).iter().map(|(level, _)| *level).collect::<Vec<_>>(),
            [Level::Unknown],
            "not asked"
        );
    }

    #[test]
    fn mixed_versions_lag_down_nodes_and_even_votes_are_found() {
        let members =
            [(1, "leader", true, 0), (2, "follower", false, 0), (3, "follower", true, 20_000), (4, "learner", true, 0)];
        let found = bad(&[report(1, OWN, &members), report(3, "0.0.9", &members[..1])]);
        let all = format!("{found:?}");
        for part in
            ["different releases: 0.0.9", "node 2: it is down", "2 of 3 voters", "20000 entries behind", "no vote yet"]
        {
            assert!(all.contains(part), "{part} in {all}");
        }
        let even = bad(&[report(1, OWN, &HEALTHY[..2]), report(2, OWN, &HEALTHY[..2])]);
        assert!(even.len() == 1 && even[0].1.contains("2 nodes have a vote"), "{even:?}");
    }

    #[test]
    fn node_without_answer_has_one_error_and_refused_credential_is_unknown() {
        let silent = || Unanswered::of_service("no answer");
        let dead = Report {
            ready: Err(silent()),
            cluster: Err(silent()),
            metrics: Err(silent()),
            clock: None,
            ..report(1, OWN, &HEALTHY)
        };
        let found = bad(&[dead]);
        assert!(found.len() == 1 && found[0].0 == Level::Error, "{found:?}");
        let refused = Report {
            metrics: Err(Unanswered::of_service("a password or an API key is needed (401)")),
            ..report(1, OWN, &HEALTHY[..1])
        };
        let found = bad(&[refused]);
        assert!(found.len() == 1 && found[0].0 == Level::Unknown && found[0].1.contains("401"), "{found:?}");
        let full = Report { metrics: Ok("latchd_disk_nearly_full 1\n".to_owned()), ..report(1, OWN, &HEALTHY[..1]) };
        assert!(bad(&[full])[0].1.contains("nearly full"));
    }
}
