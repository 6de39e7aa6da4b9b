//! Freezes: an operator freezes names for a time, thaws them, and everybody may ask what is frozen.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::call::{Answer, Call};
use super::printable::printable;
use super::{Client, ClientError};
use crate::base::ends_with_separator;

/// The target is in the query: proxies change paths.
const PATH: &str = "/v1/freezes";

/// What to freeze, why, and until when.
#[derive(Clone, Debug, Serialize)]
pub struct FreezeRequest {
    /// A name, or what names start with; empty for everything.
    #[serde(skip)]
    pub target: String,
    /// `name`, `prefix` or `everything`.
    pub r#match: &'static str,
    /// `drain` or `break`.
    pub holds: &'static str,
    pub reason: String,
    #[serde(flatten)]
    pub end: FreezeEnd,
}

/// When a freeze ends by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum FreezeEnd {
    #[serde(rename = "for_seconds")]
    After(f64),
    /// A moment in UTC, as RFC 3339 writes it, by the clock of the service.
    #[serde(rename = "until")]
    At(String),
}

/// A freeze that has not ended, or, where it was thawed, as it was.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Freeze {
    pub target: String,
    /// `name`, `prefix` or `everything`.
    pub r#match: String,
    /// `drain` or `break`.
    pub holds: String,
    pub reason: String,
    pub frozen_for_seconds: f64,
    /// Until it ends by itself.
    pub remaining_seconds: f64,
    /// The same by the clock of the service.
    pub until: String,
    /// The service still looks at locks: holds may be left under freezes that end them.
    #[serde(default)]
    pub sweeping: bool,
    /// Who froze. Shown to admins only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

#[derive(Deserialize)]
struct FirstPage {
    freezes: Vec<Freeze>,
}

impl Freeze {
    /// What is frozen, for people.
    pub fn subject(&self) -> String {
        match &*self.r#match {
            "everything" => "everything".to_owned(),
            "prefix" => format!("every name that starts with {:?}", printable(&self.target)),
            _ => format!("{:?}", printable(&self.target)),
        }
    }

    /// What is frozen, until when and why, without control characters.
    pub fn text(&self) -> String {
        format!("{} is frozen until {}: {}", self.subject(), printable(&self.until), printable(&self.reason))
    }

    /// One name is frozen that looks like what others start with: those may have been meant.
    pub fn looks_like_a_prefix(&self) -> bool {
        self.r#match == "name" && ends_with_separator(&self.target)
    }

    fn concerns(&self, name: &str) -> bool {
        if self.r#match == "name" { self.target == name } else { name.starts_with(&self.target) }
    }
}

impl Client {
    /// Freezes a target; a freeze of the same target is replaced. Needs the admin role.
    pub async fn freeze(&self, request: &FreezeRequest) -> Result<Freeze, ClientError> {
        let call = Call::new(Method::PUT, PATH).query("target", &request.target).json(request);
        about(&self.send(&call, self.retry_policy()).await?, &request.target)
    }

    /// Ends the freeze of a target, an empty one for everything; as it was. Needs the admin role.
    pub async fn thaw(&self, target: &str, reason: &str) -> Result<Freeze, ClientError> {
        let call = Call::new(Method::DELETE, PATH);
        let call = match target {
            "" => call.json(&serde_json::json!({ "match": "everything", "reason": reason })),
            target => call.query("target", target).json(&serde_json::json!({ "reason": reason })),
        };
        about(&self.send(&call, self.retry_policy()).await?, target)
    }

    /// All freezes in the order of their targets, or those that concern one lock.
    pub async fn freezes(&self, name: Option<&str>) -> Result<Vec<Freeze>, ClientError> {
        self.list(listing(name), |freeze: &Freeze| name.is_none_or(|name| freeze.concerns(name))).await
    }

    /// The freeze of a lock that lasts longest, while another call is under way: one attempt, whose failure is not
    /// reported as one of that call. `None` also without an answer, and from older services.
    pub async fn frozen_by(&self, name: &str) -> Option<Freeze> {
        let answer = self.attempt_aside(&listing(Some(name)), self.retry_policy().attempt).await.ok()?;
        let FirstPage { freezes } = answer.read().ok()?;
        let concerned = freezes.into_iter().filter(|freeze| freeze.concerns(name));
        concerned.max_by(|one, other| one.remaining_seconds.total_cmp(&other.remaining_seconds))
    }
}

fn listing(name: Option<&str>) -> Call {
    let call = Call::new(Method::GET, PATH);
    name.into_iter().fold(call, |call, name| call.query("name", name))
}

fn about(answer: &Answer, target: &str) -> Result<Freeze, ClientError> {
    let freeze: Freeze = answer.read()?;
    if freeze.target == target {
        return Ok(freeze);
    }
    Err(answer.wrong_response(format!("it names the target {:?}", freeze.target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freeze(r#match: &str, target: &str) -> Freeze {
        Freeze {
            target: target.to_owned(),
            r#match: r#match.to_owned(),
            holds: "drain".to_owned(),
            reason: "a\u{1b}[2Jb".to_owned(),
            frozen_for_seconds: 0.0,
            remaining_seconds: 60.0,
            until: "2026-11-30T06:00:00Z".to_owned(),
            sweeping: false,
            by: None,
        }
    }

    #[test]
    fn text_of_freeze_has_no_control_characters() {
        let end = "is frozen until 2026-11-30T06:00:00Z: a\\u{1b}[2Jb";
        assert_eq!(freeze("name", "n").text(), format!("\"n\" {end}"));
        assert_eq!(freeze("prefix", "n/").text(), format!("every name that starts with \"n/\" {end}"));
        assert_eq!(freeze("everything", "").text(), format!("everything {end}"));
    }

    #[test]
    fn freeze_concerns_its_name_or_all_with_its_prefix() {
        let concerned = |freeze: Freeze| ["a", "a/b", "b"].map(|name| freeze.concerns(name));
        assert_eq!(concerned(freeze("name", "a")), [true, false, false]);
        assert_eq!(concerned(freeze("prefix", "a")), [true, true, false]);
        assert_eq!(concerned(freeze("everything", "")), [true, true, true]);
    }

    #[test]
    fn request_has_one_of_both_ends() {
        let request = |end| FreezeRequest {
            target: "a".to_owned(),
            r#match: "name",
            holds: "drain",
            reason: "r".to_owned(),
            end,
        };
        let json = |end| serde_json::to_value(request(end)).expect("JSON");
        let expected = serde_json::json!({"match": "name", "holds": "drain", "reason": "r", "for_seconds": 1.5});
        assert_eq!(json(FreezeEnd::After(1.5)), expected);
        let expected = serde_json::json!({"match": "name", "holds": "drain", "reason": "r", "until": "t"});
        assert_eq!(json(FreezeEnd::At("t".to_owned())), expected);
    }
}
