//! The tools that an agent sees: their names, descriptions and arguments. The schemas are made from these types.

use std::time::Duration;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Names of one hold.
const NAMES_MAX: usize = 16;
/// The service's default of `locks.metadata_value_bytes_max`.
const NOTE_BYTES_MAX: usize = 256;
const WAIT_SECONDS_MAX: u64 = 600;
const LEASE_SECONDS: u64 = 900;
const LEASE_SECONDS_MIN: u64 = 10;
const LEASE_SECONDS_MAX: u64 = 86_400;
const LIST: u32 = 50;
const LIST_MAX: u32 = 200;

/// Arguments of `acquire`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acquire {
    /// The names of the locks, all taken together or none, such as ["repo/latchd"]. Agents that work on the same thing must
    /// use the same name.
    #[schemars(length(min = 1, max = NAMES_MAX))]
    pub names: Vec<String>,
    /// What you are going to do, in a few words. Others who want the lock are shown it.
    #[schemars(length(min = 1, max = NOTE_BYTES_MAX))]
    pub note: String,
    /// How long to wait in the queue if the lock is held. 0 answers at once.
    #[serde(default)]
    #[schemars(range(max = WAIT_SECONDS_MAX))]
    pub wait_seconds: u64,
    /// How long you may keep it. Then it is released by itself, unless you call `renew` before.
    #[serde(default = "lease_seconds")]
    #[schemars(range(min = LEASE_SECONDS_MIN, max = LEASE_SECONDS_MAX))]
    pub lease_seconds: u64,
    /// True to share the lock with all who ask so: for readers.
    #[serde(default)]
    pub shared: bool,
}

fn lease_seconds() -> u64 {
    LEASE_SECONDS
}

/// Arguments of `renew`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// A name that was acquired here.
    pub name: String,
    /// How long you may keep it from now on; as long as at first unless given.
    #[schemars(range(min = LEASE_SECONDS_MIN, max = LEASE_SECONDS_MAX))]
    pub lease_seconds: Option<u64>,
}

/// Arguments of `release` and `why`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The name of the lock.
    pub name: String,
}

/// Arguments of `list`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Only locks whose names begin so.
    #[serde(default)]
    pub prefix: String,
    /// True to show only locks that somebody waits for.
    #[serde(default)]
    pub contended: bool,
    /// How many locks at most.
    #[serde(default = "list")]
    #[schemars(range(min = 1, max = LIST_MAX))]
    pub limit: u32,
}

fn list() -> u32 {
    LIST
}

/// One call, with arguments that were checked.
#[derive(Clone, Debug)]
pub enum Call {
    Acquire(Acquire),
    Renew(Renew),
    Release(Named),
    List(List),
    Why(Named),
}

impl Call {
    /// `None`: there is no such tool. The error tells what is wrong with the arguments.
    pub fn read(tool: &str, arguments: Option<JsonObject>) -> Option<Result<Call, String>> {
        let arguments = arguments.unwrap_or_default();
        Some(match tool {
            "acquire" => parsed(arguments).and_then(Acquire::checked).map(Call::Acquire),
            "renew" => parsed(arguments).and_then(Renew::checked).map(Call::Renew),
            "release" => parsed(arguments).map(Call::Release),
            "list" => parsed(arguments).and_then(List::checked).map(Call::List),
            "why" => parsed(arguments).map(Call::Why),
            _ => return None,
        })
    }
}

fn parsed<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, String> {
    serde_path_to_error::deserialize(Value::Object(arguments)).map_err(|error| match error.path().to_string() {
        // Of a field that is missing or not known, which the error names.
        all if all == "." => format!("the arguments cannot be used: {}", error.inner()),
        field => format!("{field} cannot be used: {}", error.inner()),
    })
}

impl Acquire {
    fn checked(self) -> Result<Acquire, String> {
        let mut names = self.names.clone();
        names.sort();
        names.dedup();
        if names.is_empty() || names.len() != self.names.len() || names.len() > NAMES_MAX {
            return Err(format!("names must be from 1 to {NAMES_MAX} different names"));
        }
        if self.note.trim().is_empty() || self.note.len() > NOTE_BYTES_MAX {
            return Err(format!("note must say what you are going to do, in at most {NOTE_BYTES_MAX} bytes"));
        }
        if self.wait_seconds > WAIT_SECONDS_MAX {
            return Err(format!("wait_seconds must be at most {WAIT_SECONDS_MAX}: wait several times instead"));
        }
        check_lease(self.lease_seconds)?;
        Ok(self)
    }

    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.wait_seconds)
    }

    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }
}

impl Renew {
    fn checked(self) -> Result<Renew, String> {
        self.lease_seconds.map_or(Ok(()), check_lease)?;
        Ok(self)
    }
}

fn check_lease(seconds: u64) -> Result<(), String> {
    let fits = (LEASE_SECONDS_MIN..=LEASE_SECONDS_MAX).contains(&seconds);
    let expected = || format!("lease_seconds must be from {LEASE_SECONDS_MIN} to {LEASE_SECONDS_MAX}");
    if fits { Ok(()) } else { Err(expected()) }
}

impl List {
    fn checked(self) -> Result<List, String> {
        let fits = (1..=LIST_MAX).contains(&self.limit);
        if fits { Ok(self) } else { Err(format!("limit must be from 1 to {LIST_MAX}")) }
    }
}

/// All tools, as an agent is told of them.
pub fn all() -> Vec<Tool> {
    let changes = || ToolAnnotations::new().read_only(false).destructive(false).open_world(true);
    let reads = || ToolAnnotations::new().read_only(true).open_world(true);
    vec![
        tool::<Acquire>(
            "acquire",
            "Takes a lock before you change something that others may change too, and keeps it while you work. The answer has \
             a fencing token, and the time until which you may work. If somebody else has the lock, it says who, since when \
             and what for: then do not make the change.",
            changes().idempotent(false),
        ),
        tool::<Renew>(
            "renew",
            "Starts the lease of a lock that you have again, and tells whether you still have it. If not, stop: somebody else \
             may have it.",
            changes().idempotent(true),
        ),
        tool::<Named>(
            "release",
            "Gives a lock back. Do it as soon as your change is complete.",
            changes().idempotent(true),
        ),
        tool::<List>("list", "Shows who has which locks, and how many wait.", reads()),
        tool::<Named>("why", "Explains why a lock cannot be had: its holders and who waits, in their order.", reads()),
    ]
}

fn tool<T: JsonSchema + 'static>(name: &'static str, description: &'static str, hints: ToolAnnotations) -> Tool {
    Tool::new(name, description, JsonObject::new()).with_input_schema::<T>().annotate(hints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tool: &str, arguments: Value) -> Result<Call, String> {
        Call::read(tool, arguments.as_object().cloned()).expect("a tool")
    }

    #[test]
    fn arguments_beyond_their_bounds_are_refused_by_name() {
        let with = |field: &str, value: Value| {
            let mut arguments = serde_json::json!({"names": ["a"], "note": "n"});
            arguments[field] = value;
            read("acquire", arguments)
        };
        assert!(with("shared", true.into()).is_ok());
        for (field, value) in [
            ("names", serde_json::json!([])),
            ("names", serde_json::json!(["a", "a"])),
            ("names", (0..17).map(|at| at.to_string()).collect::<Vec<_>>().into()),
            ("note", " ".into()),
            ("note", "x".repeat(257).into()),
            ("wait_seconds", 601.into()),
            ("wait_seconds", "5".into()),
            ("names", "a".into()),
            ("lease_seconds", 9.into()),
            ("lease_seconds", 86_401.into()),
            ("key", "of another".into()),
        ] {
            let refused = with(field, value).expect_err(field);
            assert!(refused.contains(field), "{refused}");
        }
        assert!(read("list", serde_json::json!({"limit": 201})).is_err_and(|error| error.contains("limit")));
        assert!(read("renew", serde_json::json!({"name": "a", "lease_seconds": 1})).is_err());
        assert!(read("release", serde_json::json!({})).is_err_and(|error| error.contains("name")));
        assert!(Call::read("force", None).is_none());
    }

    #[test]
    fn every_tool_says_what_its_arguments_are() {
        for tool in all() {
            let properties = tool.input_schema["properties"].as_object().expect("properties");
            for (name, schema) in properties {
                assert!(schema["description"].as_str().is_some_and(|text| text.len() > 10), "{} {name}", tool.name);
            }
            assert!(Call::read(&tool.name, None).is_some(), "{}", tool.name);
        }
    }
}
