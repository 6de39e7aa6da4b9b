//! A failed request, before a dialect gives it its shape: a code of the table, words, and the field they are about.

use super::code::{Code, FieldNames};
use crate::domain::{Field, Refusal};
use crate::engine::{Fault, MemberError};
use std::borrow::Cow;

/// What a dialect writes into its own error body.
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    pub code: Code,
    pub detail: Cow<'static, str>,
    /// The field of the request that is at fault, in the dialect's own name.
    pub field: Option<&'static str>,
    /// The bound that was exceeded, in the unit that the detail names.
    pub limit: Option<u64>,
    pub retry_after_seconds: Option<u32>,
}

impl Failure {
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Failure {
        let row = code.row();
        // 429 and 503 say when to come back; what never helps does not.
        let says_when = row.retryable && matches!(row.status.as_u16(), 429 | 503);
        let retry_after_seconds = says_when.then_some(1);
        Failure { code, detail: detail.into(), field: None, limit: None, retry_after_seconds }
    }

    /// A field with a value that is not accepted.
    pub fn field(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure { field: Some(field), ..Failure::new(Code::InvalidField, detail) }
    }

    /// A field beyond its limit.
    pub fn limit(field: &'static str, limit: u64, detail: impl Into<Cow<'static, str>>) -> Failure {
        let code = Code::LimitExceeded;
        Failure { field: Some(field), limit: Some(limit), ..Failure::new(code, detail) }
    }

    /// A body larger than it may be.
    pub fn body_too_large(limit: u64) -> Failure {
        let detail = format!("the body must be at most {limit} bytes long");
        Failure { limit: Some(limit), ..Failure::new(Code::BodyTooLarge, detail) }
    }

    /// A right that the caller's credential lacks. Names the right, never the credential.
    pub fn forbidden(right: &str, name: Option<&str>) -> Failure {
        let detail = match name {
            Some(name) => format!("this credential lacks the right to {right} the lock {name:?}"),
            None => format!("this credential lacks the right to {right}"),
        };
        Failure::new(Code::Forbidden, detail)
    }

    /// What the engine said, in the words of a dialect.
    pub fn from_fault(fault: &Fault, names: &FieldNames) -> Failure {
        let code = Code::from(fault);
        match fault {
            Fault::Engine(error) => Failure::new(code, error.to_string()),
            Fault::Member(error @ MemberError::BadAddress(_)) => Failure::field("address", error.to_string()),
            Fault::Member(error) => Failure::new(code, error.to_string()),
            Fault::Refused(Refusal::LimitExceeded { field, limit }) => beyond(*field, *limit, names),
            Fault::Refused(Refusal::NulInName) => {
                Failure::field(names.name, format!("{} must not contain a NUL character", names.name))
            }
            Fault::Refused(Refusal::ZeroSize) => {
                Failure::field(names.size, format!("{} must be greater than 0", names.size))
            }
            Fault::Refused(Refusal::UnboundedHold) => {
                Failure::field(names.lease, format!("{} is needed to wait without a session", names.lease))
            }
            Fault::Refused(Refusal::SizeMismatch { size }) => {
                Failure::new(code, format!("the lock is in use with size {size}"))
            }
            Fault::Refused(
                Refusal::QueueFull { limit }
                | Refusal::HoldsFull { limit }
                | Refusal::SessionHoldsFull { limit }
                | Refusal::SessionsFull { limit },
            ) => {
                let detail = format!("{}: at most {limit} are allowed", code.row().title);
                Failure { limit: Some(*limit), ..Failure::new(code, detail) }
            }
            Fault::Refused(_) => Failure::new(code, code.row().title),
        }
    }
}

fn beyond(field: Field, limit: u64, names: &FieldNames) -> Failure {
    let name = names.of(field);
    match field {
        Field::Name => Failure::limit(name, limit, format!("{name} must be at most {limit} bytes long")),
        Field::Size => Failure::limit(name, limit, format!("{name} must be at most {limit}")),
        Field::Lease | Field::Wait => {
            Failure::limit(name, limit / 1000, format!("{name} must be at most {} seconds", Seconds(limit)))
        }
        Field::MetadataEntries => Failure::limit(name, limit, format!("{name} must have at most {limit} entries")),
        Field::MetadataKey => {
            Failure::limit(name, limit, format!("each key of {name} must be at most {limit} bytes long"))
        }
        Field::MetadataValue => {
            Failure::limit(name, limit, format!("each value of {name} must be at most {limit} bytes long"))
        }
    }
}

/// Milliseconds, shown as seconds with only the digits that say something.
pub struct Seconds(pub u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, ms) = (self.0 / 1000, self.0 % 1000);
        match ms {
            0 => write!(f, "{seconds}"),
            _ if ms % 100 == 0 => write!(f, "{seconds}.{}", ms / 100),
            _ if ms % 10 == 0 => write!(f, "{seconds}.{:02}", ms / 10),
            _ => write!(f, "{seconds}.{ms:03}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineError;

    const NAMES: FieldNames = FieldNames { name: "lockname", size: "size", lease: "lifetime", wait: "timeout" };

    #[test]
    fn a_limit_is_named_with_its_field_in_the_dialects_words() {
        let refusal = Refusal::LimitExceeded { field: Field::Lease, limit: 1_500 };
        let failure = Failure::from_fault(&Fault::Refused(refusal), &NAMES);
        assert_eq!(failure.detail, "lifetime must be at most 1.5 seconds");
        assert_eq!(failure.field, Some("lifetime"));
        assert_eq!(failure.code, Code::LimitExceeded);
    }

    #[test]
    fn a_busy_service_says_when_to_come_back() {
        let busy = Failure::from_fault(&Fault::Engine(EngineError::Overloaded), &NAMES);
        assert_eq!(busy.retry_after_seconds, Some(1));
        let unknown = Failure::from_fault(&Fault::Engine(EngineError::OutcomeUnknown), &NAMES);
        assert_eq!(unknown.retry_after_seconds, None);
    }

    #[test]
    fn seconds_show_no_needless_digits() {
        let shown = [0, 1, 10, 1_500, 2_000].map(|ms| Seconds(ms).to_string());
        assert_eq!(shown, ["0", "0.001", "0.01", "1.5", "2"]);
    }
}
