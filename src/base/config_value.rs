//! The kinds of value that keys have: durations, sizes, secrets.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// A text that must never be printed: Debug hides it and there is no Display.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that verifies it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Log lines for people or for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

const DURATION: &str = "a duration like 250ms, 30s, 10m or 24h";

/// Reads a duration such as `250ms` or `10m`. For `#[serde(deserialize_with)]`.
pub fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from).map_err(|_| de::Error::custom(format!("expected {DURATION}, in quotes")))?;
    humantime::parse_duration(&text).map_err(|_| de::Error::custom(format!("expected {DURATION}")))
}

/// Reads a duration that must not be zero.
pub fn positive_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let value = duration(from)?;
    if value.is_zero() {
        return Err(de::Error::custom(format!("expected {DURATION}, above zero")));
    }
    Ok(value)
}

/// Reads a whole number of at least 1.
pub fn positive<'de, D: Deserializer<'de>, N: TryFrom<u64>>(from: D) -> Result<N, D::Error> {
    let expected = || de::Error::custom("expected a whole number of at least 1");
    let value = u64::deserialize(from).map_err(|_| expected())?;
    if value == 0 {
        return Err(expected());
    }
    N::try_from(value).map_err(|_| expected())
}

/// The same for a key that may be left out. With `#[serde(default)]`.
pub fn positive_if_given<'de, D: Deserializer<'de>, N: TryFrom<u64>>(from: D) -> Result<Option<N>, D::Error> {
    positive(from).map(Some)
}

/// Reads a whole number of percent.
pub fn percent<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    let expected = || de::Error::custom("expected a whole number from 0 to 100");
    let value = u8::deserialize(from).map_err(|_| expected())?;
    if value <= 100 { Ok(value) } else { Err(expected()) }
}

const SIZE: &str = "a size like 64KiB, 8MiB, 1GiB or a number of bytes";

/// Reads a size in bytes: a number, or a number with a unit (`8MiB`).
pub fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    struct Size;
    impl Visitor<'_> for Size {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(SIZE)
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<u64, E> {
            u64::try_from(value).map_err(|_| E::custom(format!("expected {SIZE}")))
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
            Ok(value)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
            parse_bytes(text).ok_or_else(|| E::custom(format!("expected {SIZE}")))
        }
    }
    from.deserialize_any(Size)
}

/// `8MiB` -> 8388608. Only binary units, because `MB` has two meanings.
fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_binary_units_only() {
        assert_eq!(parse_bytes("8MiB"), Some(8 << 20));
        assert_eq!(parse_bytes("64 KiB"), Some(64 << 10));
        assert_eq!(parse_bytes("0"), Some(0));
        for bad in ["", "MiB", "8MB", "8mib", "-1", "1.5MiB", "99999999999999999999", "99999999TiB"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn secret_is_redacted_in_debug_output() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(hidden)");
    }
}
