//! The shape of a line.

use super::act::{Act, By};
use crate::base::{clock, request_id};
use serde::ser::Serializer;
use serde_json::Value;
use std::net::IpAddr;

/// What a line tells of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// An act is about to be carried out.
    Intent,
    /// How it ended.
    Outcome,
    /// A password or key that is not known, or too many of them.
    RefusedCredential,
}

/// One line. Keys without a value are left out.
#[derive(serde::Serialize)]
pub struct Line<'a> {
    pub time: String,
    pub node: u64,
    pub stage: Stage,
    /// The same in both lines of an act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    pub from: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "as_map")]
    pub target: &'a [(&'static str, Value)],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// The code of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// Refused credentials that have no line, since the last one that has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<u64>,
}

impl<'a> Line<'a> {
    pub fn new(stage: Stage, node: u64, from: IpAddr) -> Line<'a> {
        Line {
            time: clock::rfc3339_ms(clock::unix_time()),
            node,
            stage,
            act: None,
            action: None,
            who: None,
            role: None,
            from,
            request_id: request_id::current(),
            target: &[],
            reason: None,
            outcome: None,
            error: None,
            left_out: None,
        }
    }

    pub fn of(stage: Stage, node: u64, id: &'a str, by: &'a By, act: &'a Act) -> Line<'a> {
        Line {
            act: Some(id),
            action: Some(act.action.name()),
            who: Some(&by.who),
            role: Some(by.role),
            target: &act.target,
            reason: act.reason.as_deref(),
            ..Line::new(stage, node, by.from)
        }
    }

    /// The JSON. Control characters are escaped in it, so it has no line break.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }

    /// The JSON and the end of the line.
    pub fn bytes(&self) -> Vec<u8> {
        let mut json = self.json();
        json.push('\n');
        json.into_bytes()
    }
}

fn as_map<S: Serializer>(pairs: &&[(&'static str, Value)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(pairs.iter().map(|(key, value)| (*key, value)))
}
