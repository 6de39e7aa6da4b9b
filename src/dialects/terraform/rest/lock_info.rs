//! LockInfo: what Terraform says about who locks, and what it is told about who has the lock.

use crate::domain::view::HoldView;
use crate::domain::{Dialect, Limits, Metadata, Token};
use crate::http::Failure;
use crate::http::json_object::{FieldName, Trailing, Value, parse};
use crate::http::unknown_fields::UnknownFields;
use arcstr::ArcStr;
use serde::Serialize;
use std::borrow::Cow;
use utoipa::ToSchema;

/// The line break keeps the labels apart from RaftLock's client ids, which have none.
const LABEL_PREFIX: &str = "terraform\n";
const ID_BYTES_MAX: usize = 256;
/// Of a hold that is not Terraform's. Terraform tries again only where there is an id.
const MADE_UP_PREFIX: &str = "latchd-";

/// As Terraform and OpenTofu write it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct LockInfo<'a> {
    /// Chosen by the one who locks, and shown to everybody: it unlocks.
    #[serde(rename = "ID")]
    #[schema(value_type = String, min_length = 1, max_length = 256, example = "1b2c0e0c-6f5e-7f6f-3d0b-3a1a2f9e6d3c")]
    pub id: Cow<'a, str>,
    #[schema(value_type = String, required = false, example = "OperationTypeApply")]
    operation: Cow<'a, str>,
    #[schema(value_type = String, required = false)]
    info: Cow<'a, str>,
    #[schema(value_type = String, required = false, example = "ann@build-7")]
    who: Cow<'a, str>,
    #[schema(value_type = String, required = false, example = "1.14.0")]
    version: Cow<'a, str>,
    /// RFC 3339, in UTC.
    #[schema(value_type = String, required = false, example = "2026-11-27T18:13:15.123456Z")]
    created: Cow<'a, str>,
    #[schema(value_type = String, required = false)]
    path: Cow<'a, str>,
}

const _: () = assert!(ID_BYTES_MAX == 256, "`max_length` above");

impl<'a> LockInfo<'a> {
    /// Skips unknown fields: a later Terraform may send more.
    pub fn parse(body: &'a [u8]) -> Result<LockInfo<'a>, Failure> {
        static FIELDS: [FieldName; 7] = [
            FieldName::word("ID"),
            FieldName::word("Operation"),
            FieldName::word("Info"),
            FieldName::word("Who"),
            FieldName::word("Version"),
            FieldName::word("Created"),
            FieldName::word("Path"),
        ];
        let [id, operation, info, who, version, created, path] =
            parse(body, &FIELDS, Trailing::Refused, UnknownFields::Ignore)?;
        let text = |value: Value<'a>, field| value.text(field).map(Option::unwrap_or_default);
        Ok(LockInfo {
            id: checked_id(text(id, "ID")?)?,
            operation: text(operation, "Operation")?,
            info: text(info, "Info")?,
            who: text(who, "Who")?,
            version: text(version, "Version")?,
            created: text(created, "Created")?,
            path: text(path, "Path")?,
        })
    }

    /// Terraform cannot read a LockInfo with another form of time, and then gives up instead of trying again.
    pub fn check_created(&self) -> Result<(), Failure> {
        if self.created.is_empty() || is_time(&self.created) {
            return Ok(());
        }
        let example = "2026-11-27T18:13:15.123456Z";
        Err(Failure::field(
            "Created",
            format!("Created must be a time in UTC as RFC 3339 writes it, such as {example}"),
        ))
    }

    /// It is kept as metadata.
    pub fn check_lengths(&self, limits: &Limits) -> Result<(), Failure> {
        let limit = limits.metadata_value_bytes_max;
        match self.kept().into_iter().find(|(_, text)| text.len() as u64 > limit) {
            None => Ok(()),
            Some((field, _)) => {
                Err(Failure::limit(field, limit, format!("{field} must be at most {limit} bytes long"))
                    .set_by("locks.metadata_value_bytes_max"))
            }
        }
    }

    /// The owner label of its hold.
    pub fn label(&self) -> ArcStr {
        format!("{LABEL_PREFIX}{}", self.id).into()
    }

    pub fn metadata(&self) -> Metadata {
        self.kept().into_iter().filter(|(_, text)| !text.is_empty()).collect()
    }

    /// All of it but the id, which is in the label.
    fn kept(&self) -> [(&'static str, &str); 6] {
        [
            ("Operation", &*self.operation),
            ("Info", &*self.info),
            ("Who", &*self.who),
            ("Version", &*self.version),
            ("Created", &*self.created),
            ("Path", &*self.path),
        ]
    }

    /// What the holder said when it locked; made up for a hold of another dialect with this title.
    pub fn of_hold(hold: &HoldView, title: &str, granted_at: String) -> LockInfo<'static> {
        let label = hold.shown_label().unwrap_or_default();
        let Some(id) = label.strip_prefix(LABEL_PREFIX).filter(|_| hold.dialect == Dialect::Terraform) else {
            // Other dialects keep their labels apart in the same way.
            let label = label.rsplit('\n').next().unwrap_or_default();
            let session = || hold.session.map_or_else(|| title.to_owned(), |session| session.handle());
            let who = if label.is_empty() { session() } else { label.to_owned() };
            return LockInfo::made_up(hold.token, who, format!("held through {title}"), granted_at);
        };
        let said = |field: &str| {
            let found = hold.metadata.iter().find(|(key, _)| *key == field);
            found.map_or(Cow::Borrowed(""), |(_, text)| text.to_owned().into())
        };
        let created = said("Created");
        LockInfo {
            id: id.to_owned().into(),
            operation: said("Operation"),
            info: said("Info"),
            who: said("Who"),
            version: said("Version"),
            created: if created.is_empty() { granted_at.into() } else { created },
            path: said("Path"),
        }
    }

    /// Of a name that an operator has frozen, with the reason and the end. Terraform shows nothing but the ID, and not even that
    /// without a time.
    pub fn of_freeze(text: String, now: String) -> LockInfo<'static> {
        let (id, who) = (format!("{MADE_UP_PREFIX}frozen: {text}").into(), "latchd".into());
        LockInfo { id, who, info: text.into(), created: now.into(), ..LockInfo::default() }
    }

    /// For what has no LockInfo of its own. Terraform tries again only if there is an id.
    pub fn made_up(token: Token, who: String, info: String, since: String) -> LockInfo<'static> {
        LockInfo {
            id: format!("{MADE_UP_PREFIX}{}", token.0).into(),
            who: who.into(),
            info: info.into(),
            created: since.into(),
            ..LockInfo::default()
        }
    }
}

fn is_time(text: &str) -> bool {
    let Ok(time) = humantime::parse_rfc3339(text) else { return false };
    // A leap second is read as the one before.
    text.get(..19).is_some_and(|seconds| humantime::format_rfc3339_seconds(time).to_string().starts_with(seconds))
}

fn checked_id(id: Cow<'_, str>) -> Result<Cow<'_, str>, Failure> {
    match id.len() {
        0 => Err(Failure::field("ID", "ID is needed: a LockInfo names its lock by a string that is not empty")),
        1..=ID_BYTES_MAX => Ok(id),
        _ => Err(Failure::limit("ID", ID_BYTES_MAX as u64, format!("ID must be at most {ID_BYTES_MAX} bytes long"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{HoldKey, SessionId, Timestamp};

    const SENT: &[u8] = br#"{"ID":"1b2c","Operation":"OperationTypeApply","Info":"","Who":"ann@build-7",
        "Version":"1.14.0","Created":"2026-11-27T18:13:15.123456Z","Path":"","Later":{"x":[1]}}"#;

    fn hold(dialect: Dialect, label: Option<ArcStr>, metadata: Metadata) -> HoldView {
        HoldView {
            key: HoldKey([1; 16]),
            token: Token(7),
            dialect,
            session: None,
            label,
            credential: 0,
            since: Timestamp(1),
            deadline: None,
            ends: None,
            metadata,
            terms: None,
        }
    }

    fn seen(hold: &HoldView) -> LockInfo<'static> {
        LockInfo::of_hold(hold, "some dialect", "1970-01-01T00:00:01Z".to_owned())
    }

    #[test]
    fn holder_is_told_as_it_said() {
        let sent = LockInfo::parse(SENT).expect("it is valid");
        assert_eq!(sent.metadata().len(), 4, "empty fields take no room");
        assert_eq!(seen(&hold(Dialect::Terraform, Some(sent.label()), sent.metadata())), sent);
        let bare = LockInfo::parse(br#"{"ID":"x"}"#).expect("it is valid");
        let told = seen(&hold(Dialect::Terraform, Some(bare.label()), bare.metadata()));
        assert_eq!((&*told.id, &*told.created), ("x", "1970-01-01T00:00:01Z"));
    }

    #[test]
    fn holder_of_another_dialect_has_a_made_up_id() {
        let labelled = seen(&hold(Dialect::Kufuli, Some("kufuli\nworker-1".into()), Metadata::default()));
        assert_eq!((&*labelled.id, &*labelled.who), ("latchd-7", "worker-1"));
        let of_session =
            HoldView { session: Some(SessionId([1; 16])), ..hold(Dialect::LdlmRest, None, Metadata::default()) };
        assert_eq!(seen(&of_session).who, SessionId([1; 16]).handle());
        let secret = seen(&hold(Dialect::Redis, Some("czNjcmV0".into()), Metadata::default()));
        assert_eq!(secret.who, "some dialect", "the label proves the hold");
        let forged = seen(&hold(Dialect::RaftLockGrpc, Some("terraform\nx".into()), Metadata::default()));
        assert_eq!(&*forged.id, "latchd-7");
        assert_eq!(seen(&hold(Dialect::LockdRest, None, Metadata::default())).who, "some dialect");
    }

    #[test]
    fn created_must_be_a_time_that_terraform_reads() {
        let check = |created: &'static str| LockInfo { created: created.into(), ..LockInfo::default() }.check_created();
        for valid in ["", "2026-11-27T18:13:15Z", "2026-11-27T18:13:15.123456789Z"] {
            assert_eq!(check(valid), Ok(()), "{valid}");
        }
        for invalid in ["yesterday", "2026-11-27", "2026-11-27T18:13:60Z", "2026-11-27T18:13:15+01:00", "日"] {
            assert!(check(invalid).is_err(), "{invalid}");
        }
    }
}
