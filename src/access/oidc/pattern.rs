//! What a claim must be for a rule.

use super::claims::{ClaimPath, Claims};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Patterns of the claims of one object. All must match.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Patterns(BTreeMap<String, Pattern>);

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
enum Pattern {
    /// `*` stands for one or more characters other than `/`, `**` for one or more of any.
    Text(String),
    Exactly(Value),
    AnyOf(Vec<Pattern>),
    Inside(Patterns),
}

impl TryFrom<Value> for Pattern {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Pattern, &'static str> {
        const EXPECTED: &str = "expected a text, a whole number, true, false, a list of these, or a table of claims";
        match value {
            Value::String(text) if text.is_empty() => Err("expected a text that is not empty"),
            Value::String(text) if text.contains("***") => Err("expected `*` or `**`, not more stars in a row"),
            Value::String(text) => Ok(Pattern::Text(text)),
            Value::Bool(_) => Ok(Pattern::Exactly(value)),
            Value::Number(ref number) if !number.is_f64() => Ok(Pattern::Exactly(value)),
            Value::Array(list) if list.is_empty() || list.iter().any(|one| one.is_array() || one.is_object()) => {
                Err(EXPECTED)
            }
            Value::Array(list) => {
                Ok(Pattern::AnyOf(list.into_iter().map(Pattern::try_from).collect::<Result<_, _>>()?))
            }
            Value::Object(table) if !table.is_empty() => {
                let inside = table.into_iter().map(|(name, value)| Ok((name, Pattern::try_from(value)?)));
                Ok(Pattern::Inside(Patterns(inside.collect::<Result<_, &'static str>>()?)))
            }
            _ => Err(EXPECTED),
        }
    }
}

impl Patterns {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the claims need only be there.
    pub fn accept_anything(&self) -> bool {
        self.0.values().all(Pattern::accepts_anything)
    }

    pub fn match_all(&self, claims: &Claims) -> bool {
        self.0.iter().all(|(name, pattern)| claims.get(name).is_some_and(|value| pattern.matches(value)))
    }

    /// Whether every value that matches the pattern of this claim has the same number of slashes.
    pub fn fix_slashes_of(&self, path: &ClaimPath) -> bool {
        let Some((last, tables)) = path.steps().split_last() else { return false };
        let inside = tables.iter().try_fold(self, |patterns, step| match patterns.0.get(step) {
            Some(Pattern::Inside(inside)) => Some(inside),
            _ => None,
        });
        inside.and_then(|patterns| patterns.0.get(last)).is_some_and(|pattern| pattern.slashes().is_some())
    }
}

impl Pattern {
    fn accepts_anything(&self) -> bool {
        match self {
            Pattern::Text(text) => text.chars().all(|c| c == '*'),
            Pattern::Exactly(_) => false,
            Pattern::AnyOf(patterns) => patterns.iter().any(Pattern::accepts_anything),
            Pattern::Inside(patterns) => patterns.accept_anything(),
        }
    }

    fn matches(&self, value: &Value) -> bool {
        match (self, value) {
            (Pattern::AnyOf(patterns), _) => patterns.iter().any(|pattern| pattern.matches(value)),
            (Pattern::Text(_) | Pattern::Exactly(_), Value::Array(several)) => {
                several.iter().any(|one| !one.is_array() && self.matches(one))
            }
            (Pattern::Text(pattern), Value::String(text)) => matches(pattern, text),
            (Pattern::Exactly(wanted), _) => wanted == value,
            (Pattern::Inside(patterns), Value::Object(claims)) => patterns.match_all(claims),
            (Pattern::Text(_) | Pattern::Inside(_), _) => false,
        }
    }

    /// The number of slashes in each text that matches, where it is the same for all.
    fn slashes(&self) -> Option<usize> {
        match self {
            Pattern::Text(pattern) if pattern.contains("**") => None,
            Pattern::Text(pattern) => Some(pattern.matches('/').count()),
            Pattern::Exactly(value) => value.is_number().then_some(0),
            Pattern::AnyOf(patterns) => {
                let first = patterns.first()?.slashes()?;
                patterns.iter().all(|pattern| pattern.slashes() == Some(first)).then_some(first)
            }
            Pattern::Inside(_) => None,
        }
    }
}

/// Whether the whole text matches. Never goes back: the time is bounded by the product of the two lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<Piece> = pieces(pattern);
    let text: Vec<char> = text.chars().collect();
    // Which positions of the text the pieces so far can have come to.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for piece in pattern {
        reached = piece.step(&reached, &text);
    }
    reached[text.len()]
}

#[derive(Clone, Copy)]
enum Piece {
    Character(char),
    Some { with_slashes: bool },
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        pieces.push(match character {
            '*' => Piece::Some { with_slashes: rest.next_if_eq(&'*').is_some() },
            other => Piece::Character(other),
        });
    }
    pieces
}

impl Piece {
    fn step(self, reached: &[bool], text: &[char]) -> Vec<bool> {
        let mut next = vec![false; reached.len()];
        for (at, character) in text.iter().enumerate() {
            next[at + 1] = match self {
                Piece::Character(wanted) => reached[at] && *character == wanted,
                Piece::Some { with_slashes } => {
                    let fits = !character.is_control() && (with_slashes || *character != '/');
                    fits && (reached[at] || next[at])
                }
            };
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(patterns: Value, claims: Value) -> bool {
        let patterns: Patterns = serde_json::from_value(patterns).expect("patterns");
        patterns.match_all(claims.as_object().expect("claims"))
    }

    #[test]
    fn star_matches_within_one_segment_and_never_nothing() {
        for (pattern, text, expected) in [
            ("acme/app", "acme/app", true),
            ("acme/app", "acme/app2", false),
            ("acme/*", "acme/app", true),
            ("acme/*", "acme/", false),
            ("acme/*", "acme/app/x", false),
            ("acme/*", "evil/acme/app", false),
            ("acme*", "acme-evil/app", false),
            ("acme/**", "acme/app/x", true),
            ("*/main", "a/b/main", false),
            ("**/main", "a/b/main", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "abc", false),
            ("*", "a\nb", false),
            ("*", "日本", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn long_pattern_of_stars_takes_no_time_to_speak_of() {
        assert!(!matches(&"*a".repeat(100), &("a".repeat(4_000) + "b")));
    }

    #[test]
    fn claims_match_by_type_list_and_table() {
        assert!(holds(json!({"ref": ["a", "b*"]}), json!({"ref": "bc"})));
        assert!(holds(json!({"groups": "ops"}), json!({"groups": ["dev", "ops"]})));
        assert!(!holds(json!({"groups": "ops"}), json!({"groups": [["ops"], {"a": "ops"}]})));
        assert!(holds(json!({"verified": true, "id": 7}), json!({"verified": true, "id": 7})));
        assert!(!holds(json!({"verified": true}), json!({"verified": "true"})));
        assert!(!holds(json!({"id": "7"}), json!({"id": 7})), "a text is not a number");
        assert!(!holds(json!({"ref": "*"}), json!({})), "a claim that is missing matches nothing");
        let kubernetes = json!({"kubernetes.io": {"namespace": "ci", "serviceaccount": {"name": "deploy-*"}}});
        let claims = |name| json!({"kubernetes.io": {"namespace": "ci", "serviceaccount": {"name": name}}});
        assert!(holds(kubernetes.clone(), claims("deploy-app")) && !holds(kubernetes, claims("other")));
    }

    #[test]
    fn patterns_that_say_nothing_are_refused() {
        for bad in [
            json!({"a": ""}),
            json!({"a": []}),
            json!({"a": {}}),
            json!({"a": 1.5}),
            json!({"a": null}),
            json!({"a": "***"}),
        ] {
            serde_json::from_value::<Patterns>(bad.clone()).expect_err(&bad.to_string());
        }
    }
}
