//! Patterns of filters: `*` stands for any text, `?` for any one character. Without either, a pattern matches any part.

/// Whether `text` is what the pattern describes. An empty pattern describes everything.
pub fn matches(pattern: &str, text: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return text.contains(pattern);
    }
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // The last star and how much text it covers so far; only it is retried.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, reached)) => {
                    star = Some((at, reached + 1));
                    p = at + 1;
                    t = reached + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

/// The prefix of every text that matches.
pub fn prefix(pattern: &str) -> &str {
    match pattern.find(['*', '?']) {
        Some(at) => &pattern[..at],
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text_and_question_marks_for_one_character() {
        for (pattern, text) in
            [("q*", "queue"), ("*ue", "queue"), ("q*e*e", "queue"), ("q?eue", "queue"), ("*", ""), ("日?語", "日本語")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("q*", "a queue"), ("?", ""), ("q?", "queue"), ("*x", "queue"), ("a*b*c", "acb")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn pattern_without_wildcards_matches_any_part() {
        assert!(matches("", "anything") && matches("eu", "queue"));
        assert!(!matches("ue.", "queue"));
        assert_eq!((prefix("build/*"), prefix("build"), prefix("*")), ("build/", "", ""));
    }

    #[test]
    fn pattern_with_many_stars_matches_fast() {
        let pattern = "a*".repeat(120) + "b";
        assert!(!matches(&pattern, &"a".repeat(256)));
    }
}
