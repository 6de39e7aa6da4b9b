//! Texts with claims in them: `repo/{repository}/`.

use super::claims::{ClaimPath, Claims};
use super::pattern::Patterns;
use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Claim(ClaimPath),
}

impl TryFrom<String> for Template {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Template, &'static str> {
        const EXPECTED: &str = "expected a text such as repo/{repository}/ or {/kubernetes.io/namespace}/";
        let mut parts = Vec::new();
        for (at, piece) in text.split('{').enumerate() {
            let literal = match piece.split_once('}') {
                Some((claim, literal)) if at > 0 => {
                    parts.push(Part::Claim(ClaimPath::parse(claim).ok_or(EXPECTED)?));
                    literal
                }
                None if at == 0 => piece,
                _ => return Err(EXPECTED),
            };
            if literal.contains('}') {
                return Err(EXPECTED);
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
        }
        if parts.is_empty() { Err(EXPECTED) } else { Ok(Template(parts)) }
    }
}

impl Template {
    /// The text with these claims in it; none where one of them is missing or no text.
    pub fn text(&self, claims: &Claims) -> Option<String> {
        self.filled(claims, |_| true)
    }

    /// As [`Template::text`] for the beginning of a lock name: no claim may have a character or a segment with a meaning of
    /// its own, to us or to whoever reads the name as a path.
    pub fn prefix(&self, claims: &Claims) -> Option<String> {
        self.filled(claims, |value| {
            let is_plain = |segment: &str| !matches!(segment, "" | "." | "..");
            value.split('/').all(is_plain) && !value.contains(|c: char| c.is_control() || c == '*')
        })
    }

    /// Why the prefixes that this makes could lie inside each other, so that a claim opens the names of another. Each claim
    /// must be followed by a slash, and a rule must fix how many slashes are in it.
    pub fn unfit_as_prefix(&self, patterns: &Patterns) -> Option<&'static str> {
        let followers = self.0.iter().skip(1).map(Some).chain([None]);
        self.0.iter().zip(followers).find_map(|(part, next)| match (part, next) {
            (Part::Literal(_), _) => None,
            (Part::Claim(path), _) if !patterns.fix_slashes_of(path) => Some(
                "expected prefixes with claims that `claims` of the same rule names, without ** and with the same number \
                 of slashes in each alternative: otherwise a claim could open the names of another",
            ),
            (Part::Claim(_), Some(Part::Literal(literal))) if literal.starts_with('/') => None,
            (Part::Claim(_), _) => Some(
                "expected a slash after each claim in a prefix: otherwise the prefix of `app` would open the names of \
                 `app2`",
            ),
        })
    }

    fn filled(&self, claims: &Claims, accepts: impl Fn(&str) -> bool) -> Option<String> {
        let texts = self.0.iter().map(|part| match part {
            Part::Literal(text) => Some(text.clone()),
            Part::Claim(path) => path.text(claims).filter(|value| accepts(value)),
        });
        texts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(text: &str) -> Template {
        Template::try_from(text.to_owned()).expect(text)
    }

    #[test]
    fn claims_are_filled_in_and_odd_values_are_not() {
        let prefix = template("repo/{repository}/{/kubernetes.io/id}/");
        let with = |value: &str| {
            let claims = json!({"repository": value, "kubernetes.io": {"id": 7}});
            prefix.prefix(claims.as_object().expect("claims"))
        };
        assert_eq!(with("acme/app").as_deref(), Some("repo/acme/app/7/"));
        for odd in ["", "a//b", "/a", "a/", "..", "a/../b", "./a", "*", "a*", "a\nb", "a\0", &"a".repeat(257)] {
            assert_eq!(with(odd), None, "{odd:?}");
        }
        for claims in [json!({"repository": "a"}), json!({"repository": ["a"], "kubernetes.io": {"id": 7}})] {
            assert_eq!(prefix.text(claims.as_object().expect("claims")), None);
        }
    }

    #[test]
    fn malformed_templates_are_refused() {
        for bad in ["", "a{", "a}", "{}", "{a}}", "{{a}", "{/}", "{/a//b}"] {
            Template::try_from(bad.to_owned()).expect_err(bad);
        }
    }

    #[test]
    fn prefixes_that_could_lie_inside_each_other_are_refused() {
        let patterns = json!({
            "repository": "acme/*", "ref": "refs/heads/**", "id": 7, "env": ["prod", "a/b"], "k": {"ns": ["a", "b"]}
        });
        let patterns: Patterns = serde_json::from_value(patterns).expect("patterns");
        for (text, fits) in [
            ("repo/{repository}/", true),
            ("{id}/{/k/ns}/x", true),
            ("plain", true),
            ("repo/{repository}", false),
            ("repo/{repository}-x/", false),
            ("{id}{repository}/", false),
            ("branch/{ref}/", false),
            ("{env}/", false),
            ("{actor}/", false),
            ("{/k/other}/", false),
        ] {
            assert_eq!(template(text).unfit_as_prefix(&patterns).is_none(), fits, "{text}");
        }
    }
}
