//! What one line can have at most: no name and no reason may push the lines of others out of the file.

use serde_json::Value;

/// More than a name or a reason has while `locks.name_bytes_max` has its default.
const TEXT_BYTES_MAX: usize = 1024;
/// Of all texts of a list together: as many as the names of one hold have with the defaults.
const LIST_BYTES_MAX: usize = 32 << 10;

/// A long text without its rest, and with its length.
pub fn text(mut text: String) -> String {
    let length = text.len();
    if length > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rfind(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str(&format!("… (cut: {length} bytes)"));
    }
    text
}

/// A text, or a list of texts: the last entry of one that was cut says how many there were.
pub fn value(value: Value) -> Value {
    match value {
        Value::String(long) => Value::String(text(long)),
        Value::Array(entries) => list(entries),
        short => short,
    }
}

fn list(entries: Vec<Value>) -> Value {
    let (count, mut bytes) = (entries.len(), 0);
    let has_room = |entry: &Value| {
        bytes += entry.as_str().map_or(0, str::len);
        bytes <= LIST_BYTES_MAX
    };
    let mut kept: Vec<Value> = entries.into_iter().map(value).take_while(has_room).collect();
    if kept.len() < count {
        kept.push(format!("… (cut: {count} in all)").into());
    }
    Value::Array(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_and_lists_are_cut_and_say_so() {
        assert_eq!(text("x".repeat(TEXT_BYTES_MAX)), "x".repeat(TEXT_BYTES_MAX));
        let long = text("é".repeat(TEXT_BYTES_MAX));
        assert_eq!(long, format!("{}… (cut: 2048 bytes)", "é".repeat(TEXT_BYTES_MAX / 2)));
        assert_eq!(value(7.into()), Value::from(7));
        let names = |count: usize| Value::from(vec!["n".repeat(512); count]);
        assert_eq!(value(names(64)), names(64));
        let Value::Array(cut) = value(names(100)) else { panic!("a list") };
        assert_eq!((cut.len(), &cut[64]), (65, &Value::from("… (cut: 100 in all)")));
    }
}
