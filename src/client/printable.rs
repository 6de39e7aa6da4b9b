//! Makes text of other users safe to show on a terminal.

/// Escapes every character that controls a terminal, changes the direction of text, or cannot be seen.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_treacherous(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Control characters, directions of text, line separators, and characters without width. Joiners are allowed, because
/// scripts and emoji need them.
pub fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
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
            ("日本 é שלום", "日本 é שלום"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
