//! What is wrong in a TOML file, without what stands in it: the line may hold a secret.

use serde::de::DeserializeOwned;
use toml::Table;
use toml::de::Error;

/// What a file holds; else why it cannot be used, with the line.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let told = |error: &Error, reason: String| format!("line {}: {reason}", line(text, error));
    text.parse::<Table>().map_err(|error| told(&error, format!("not TOML: {}", syntax(&error))))?;
    toml::from_str(text).map_err(|error| told(&error, accepted(error.message())))
}

/// The line that an error is about.
pub(super) fn line(text: &str, error: &Error) -> usize {
    let offset = error.span().map_or(0, |span| span.start.min(text.len()));
    1 + text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count()
}

/// Why a text is not TOML.
pub(super) fn syntax(error: &Error) -> String {
    error.message().trim().to_owned()
}

/// From serde's words keeps what is accepted; our own message shows the value, and never if it is secret.
pub(super) fn accepted(message: &str) -> String {
    let keep = ["expected", "missing field", "unknown field"].iter().filter_map(|word| message.find(word)).min();
    message[keep.unwrap_or(0)..].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(rename = "api_key")]
        _api_key: Option<String>,
    }

    #[test]
    fn parse_errors_never_repeat_values() {
        for (wrong, told) in [
            ("apikey = \"S3CRET\"", "line 2: unknown field `apikey`, expected `api_key`"),
            ("api_key = S3CRET", "line 2: not TOML: string values must be quoted"),
            ("api_key = S3CRET==", "line 2: not TOML: "),
            ("api_key = 5301234", "line 2: expected a string"),
            ("api_key = [\"S3CRET\"]", "line 2: expected a string"),
            ("api_key = { value = \"S3CRET\" }", "line 2: expected a string"),
            ("api_key = \"S3CRET", "line 2: not TOML: "),
            ("api_key = 'S3CRET\"", "line 2: not TOML: "),
            ("api_key = \"S3\\qCRET\"", "line 2: not TOML: "),
            ("api_key = \"a\"\napi_key = \"S3CRET\"", "line 3: not TOML: duplicate key"),
            ("api_key: S3CRET", "line 2: not TOML: "),
        ] {
            let error = parse::<Settings>(&format!("# ours\n{wrong}\n")).expect_err(wrong);
            assert!(error.starts_with(told), "{wrong}: {error}");
            assert!(!error.contains("CRET") && !error.contains("5301234"), "{wrong}: {error}");
        }
        parse::<Settings>("api_key = \"a\"").expect("settings");
    }
}
