//! Characters that a reader cannot see: two texts with and without them look alike, and some change what stands around them.

/// Control characters, the ends of lines and paragraphs, the marks of annotations, and all of Unicode's
/// `Default_Ignorable_Code_Point` (DerivedCoreProperties.txt of Unicode 16). Joiners and variation selectors are among them: what
/// needs them is readable without, and names that differ only in them must look different.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}'
            | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_found_and_scripts_are_not() {
        for hidden in
            ['\0', '\n', '\u{7f}', '\u{9b}', '\u{ad}', '\u{200d}', '\u{202e}', '\u{2028}', '\u{3164}', '\u{e0041}']
        {
            assert!(is_invisible(hidden), "{hidden:?}");
        }
        for seen in " a~é日שम\u{301}\u{202f}\u{a0}🦀".chars() {
            assert!(!is_invisible(seen), "{seen:?}");
        }
    }
}
