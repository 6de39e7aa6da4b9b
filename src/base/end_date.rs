//! The end of something, as RFC 3339 writes a date or a time.

use serde::Deserialize;
use serde::de::{self, Deserializer};
use toml::Value;
use toml::value::{Datetime, Offset};

use super::clock::parse_rfc3339;

const EXPECTED: &str = "a date such as 2027-01-31, or a time with its offset such as 2027-01-31T12:00:00Z";

/// Seconds since 1970. A date is the beginning of that day in UTC.
pub fn parse(text: &str) -> Result<u64, String> {
    seconds(text).ok_or_else(|| format!("expected {EXPECTED}"))
}

fn seconds(text: &str) -> Option<u64> {
    let moment: Datetime = text.trim().parse().ok()?;
    let date = moment.date?;
    let (hours, offset_minutes) = match (moment.time, moment.offset) {
        (None, None) => ("00:00:00".to_owned(), 0),
        (Some(time), Some(offset)) => {
            let minutes = match offset {
                Offset::Z => 0,
                Offset::Custom { minutes } => minutes,
            };
            let second = time.second.unwrap_or(0);
            (format!("{:02}:{:02}:{second:02}", time.hour, time.minute), i64::from(minutes))
        }
        // A time without an offset is another moment on each machine.
        _ => return None,
    };
    parse_rfc3339(&format!("{date}T{hours}Z"))?.checked_add_signed(-60 * offset_minutes)
}

/// Reads such a text, or TOML's own date. For `#[serde(deserialize_with)]`.
pub fn end_date<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let read = match Value::deserialize(from) {
        Ok(Value::String(text)) => parse(&text),
        Ok(Value::Datetime(moment)) => parse(&moment.to_string()),
        _ => Err(format!("expected {EXPECTED}")),
    };
    read.map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_with_offsets_are_read() {
        let begin = 1_801_353_600;
        for (text, seconds) in [
            ("2027-01-31", begin),
            ("2027-01-31T00:00:00Z", begin),
            ("2027-01-31 01:00:00+01:00", begin),
            ("2027-01-30T23:59:59.9-00:00", begin - 1),
        ] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
        for wrong in ["", "soon", "2027-02-30", "2027-01-31T00:00:00", "12:00:00", "1969-12-31", "90d", "20270131"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
