//! What a check found, how bad it is, and what to do about it.

use std::fmt::{self, Display, Write as _};

use serde::Serialize;

use crate::client::printable;
use crate::config::Warning;

/// From good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// The check could not be made.
    Unknown,
    /// It works, and will not for ever.
    Warn,
    /// It does not work, or is not safe.
    Error,
}

/// One line of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    /// A configuration key, or the URL of a node with what was asked.
    pub check: String,
    pub finding: String,
    /// What to do; nothing where all is well.
    pub advice: Option<String>,
}

impl Finding {
    pub fn ok(check: impl Into<String>, finding: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, check: check.into(), finding: finding.into(), advice: None }
    }

    pub fn new(
        level: Level,
        check: impl Into<String>,
        finding: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding { level, check: check.into(), finding: finding.into(), advice: Some(advice.into()) }
    }

    pub fn unknown(check: impl Into<String>, finding: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding::new(Level::Unknown, check, finding, advice)
    }

    pub fn warn(check: impl Into<String>, finding: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding::new(Level::Warn, check, finding, advice)
    }

    pub fn error(check: impl Into<String>, finding: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding::new(Level::Error, check, finding, advice)
    }

    pub fn of(check: &str, warning: Warning) -> Finding {
        Finding::warn(check, warning.what, warning.advice)
    }
}

/// All findings, in the order of the checks.
#[derive(Debug, Serialize)]
pub struct Findings {
    /// The worst of them.
    pub result: Level,
    pub findings: Vec<Finding>,
}

impl Findings {
    pub fn new(findings: Vec<Finding>) -> Findings {
        let result = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
        Findings { result, findings }
    }
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Unknown => "unknown",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

impl Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { level, check, finding, advice } in &self.findings {
            writeln!(f, "{:8} {}: {}", level.word(), printable(check), printable(finding))?;
            if let Some(advice) = advice {
                writeln!(f, "{:8}   -> {}", "", printable(advice))?;
            }
        }
        let mut summary = String::new();
        for level in [Level::Error, Level::Warn, Level::Unknown, Level::Ok] {
            let count = self.findings.iter().filter(|finding| finding.level == level).count();
            let comma = if summary.is_empty() { "" } else { ", " };
            write!(summary, "{comma}{count} {}", level.word())?;
        }
        writeln!(f, "{summary}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_finding_is_the_result_and_advice_stands_below_its_finding() {
        let found = Findings::new(vec![
            Finding::ok("tls.cert", "ends in 2033"),
            Finding::warn("data_dir", "a\u{1b}[31m", "chmod 700 data"),
            Finding::unknown("cluster", "no answer", "start it"),
        ]);
        assert_eq!(found.result, Level::Warn);
        let shown = found.to_string();
        assert!(shown.contains("warn     data_dir: a\\u{1b}[31m\n           -> chmod 700 data\n"), "{shown}");
        assert!(shown.ends_with("0 error, 1 warn, 1 unknown, 1 ok\n"), "{shown}");
    }
}
