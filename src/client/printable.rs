//! Makes text of other users safe to show on a terminal.

pub use crate::base::is_invisible;

/// Escapes every character that controls a terminal, changes the direction of text, or cannot be seen.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_invisible(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_hidden_characters_are_escaped() {
        for (text, shown) in [
            ("a\u{1b}[2J\n", "a\\u{1b}[2J\\n"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("nightly\u{202e}gpj.exe\u{2066}", "nightly\\u{202e}gpj.exe\\u{2066}"),
            ("a\u{200b}b\u{2028}\u{feff}", "a\\u{200b}b\\u{2028}\\u{feff}"),
            ("dep\u{200d}loy", "dep\\u{200d}loy"),
            ("日本 é שלום", "日本 é שלום"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
