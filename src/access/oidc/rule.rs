//! Rules: which claims make a caller what.

use super::claims::Claims;
use super::pattern::Patterns;
use super::template::Template;
use crate::access::ending::Ending;
use crate::access::identity::{Identity, Role};
use crate::access::reserved_names::TOKEN;
use crate::base::is_invisible;
use serde::Deserialize;

/// For each rule; its prefixes are looked through at each request.
const PREFIXES_MAX: usize = 64;

/// One rule. The first one whose claims match decides, also where a text of it cannot be made.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "RuleSettings")]
pub struct Rule {
    name: Template,
    /// What stands for the rule in the number of a credential.
    name_text: String,
    claims: Patterns,
    role: Role,
    prefixes: Vec<Template>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSettings {
    claims: Patterns,
    role: Role,
    name: Option<String>,
    #[serde(default)]
    prefixes: Vec<Template>,
}

impl TryFrom<RuleSettings> for Rule {
    type Error = String;

    fn try_from(settings: RuleSettings) -> Result<Rule, String> {
        let RuleSettings { claims, role, name, prefixes } = settings;
        if claims.is_empty() {
            return Err(
                "expected at least one claim in `claims`: without one, everybody who can get a token of this issuer \
                        would match"
                    .to_owned(),
            );
        }
        if prefixes.len() > PREFIXES_MAX {
            return Err(format!("expected at most {PREFIXES_MAX} prefixes"));
        }
        if let Some(why) = prefixes.iter().find_map(|prefix| prefix.unfit_as_prefix(&claims)) {
            return Err(why.to_owned());
        }
        let name_text = name.unwrap_or_else(|| "{sub}".to_owned());
        Ok(Rule { name: Template::try_from(name_text.clone())?, name_text, claims, role, prefixes })
    }
}

impl Rule {
    /// What it makes of every token of its issuer; `None` if it is about some of them.
    pub fn of_every_token(&self) -> Option<Role> {
        self.claims.accept_anything().then_some(self.role)
    }

    /// Whether it decides about a token with these verified claims.
    pub fn is_about(&self, claims: &Claims) -> bool {
        self.claims.match_all(claims)
    }

    /// Who such a token makes the caller, with this end; none where a claim that its texts need is missing or odd.
    pub fn identity(&self, issuer: &str, subject: &str, claims: &Claims, ending: Ending) -> Option<Identity> {
        let name = self.name.text(claims)?;
        let prefixes = self.prefixes.iter().map(|prefix| prefix.prefix(claims)).collect::<Option<Vec<_>>>()?;
        let credential = [issuer, subject, &self.name_text];
        Some(Identity::from_token(credential, &shown(&name), self.role, &prefixes, ending))
    }
}

/// Characters of a name in logs.
const NAME_CHARACTERS_MAX: usize = 128;

/// A name that cannot be taken for that of a key, and changes nothing where it is shown.
fn shown(name: &str) -> String {
    let visible = |c: char| if is_invisible(c) { c.escape_unicode().collect() } else { String::from(c) };
    let escaped: String = name.chars().map(visible).collect();
    format!("{TOKEN}{}", escaped.chars().take(NAME_CHARACTERS_MAX).collect::<String>())
}
