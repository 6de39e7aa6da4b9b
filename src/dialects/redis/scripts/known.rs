//! The scripts that are known now: those of the table by their digests, and those that clients have sent.

use super::digest::{Digest, sha1};
use super::lua::canonical;
use super::shape::{Script, Shape};
use super::table::{DIGESTS, FORMS, TEXTS};
use crate::base::bounded_map::BoundedMap;
use crate::base::codec::hex;
use parking_lot::Mutex;
use std::collections::HashMap;

/// The memory of one process. Another node, or this one after a restart, asks the client for the text again.
pub struct KnownScripts {
    forms: HashMap<String, Shape>,
    sent: Mutex<BoundedMap<Digest, Script>>,
}

impl KnownScripts {
    /// Remembers so many texts beside those that are always known.
    pub fn new(scripts_max: usize) -> KnownScripts {
        let by_text = TEXTS.iter().filter_map(|(text, shape)| Some((hex(&sha1(canonical(text)?.as_bytes())), *shape)));
        let by_form = FORMS.iter().map(|(form, shape)| ((*form).to_owned(), *shape));
        KnownScripts { forms: by_text.chain(by_form).collect(), sent: Mutex::new(BoundedMap::new(scripts_max)) }
    }

    /// The script with this digest.
    pub fn find(&self, digest: &Digest) -> Option<Script> {
        let name = hex(digest);
        let known = DIGESTS.iter().find(|(text, ..)| *text == name);
        let known = known.map(|(_, skipped, shape)| Script { shape: *shape, skipped: *skipped });
        known.or_else(|| self.sent.lock().get(digest).copied())
    }

    /// What this text does, and its digest. `None` if no library sends it. All callers share what is remembered, so only those
    /// who may take locks have their texts remembered.
    pub fn learn(&self, text: &[u8], is_remembered: bool) -> Option<(Digest, Script)> {
        let digest = sha1(text);
        if let Some(script) = self.find(&digest) {
            return Some((digest, script));
        }
        let (form, skipped) = without_select(canonical(str::from_utf8(text).ok()?)?);
        let shape = self.forms.get(&hex(&sha1(form.as_bytes())))?;
        let script = Script { shape: *shape, skipped };
        if is_remembered {
            self.sent.lock().get_or_insert(digest, script);
        }
        Some((digest, script))
    }
}

/// The form of a script without the choice of a database at its beginning, and how many arguments that takes: every database
/// is the one lock table.
fn without_select(form: String) -> (String, usize) {
    let Some(rest) = form.strip_prefix("redis.call('select',tonumber(ARGV[1]))") else { return (form, 0) };
    let mut parts = rest.split("ARGV[");
    let mut shifted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let number =
            part.split_once(']').and_then(|(number, rest)| Some((number.parse::<usize>().ok()?.checked_sub(1)?, rest)));
        let Some((number, rest)) = number.filter(|(number, _)| *number > 0) else { return (form, 0) };
        shifted.push_str(&format!("ARGV[{number}]{rest}"));
    }
    (shifted, 1)
}

#[cfg(test)]
mod tests {
    use super::super::shape::Cases;
    use super::*;

    #[test]
    fn sent_script_is_known_by_its_digest_until_others_follow() {
        let known = KnownScripts::new(1);
        let text = |end: &str| {
            format!(
                "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end{end}"
            )
        };
        let (first, script) = known.learn(text("").as_bytes(), true).expect("known");
        let wanted = Script { shape: Shape::Release(Cases::ONE), skipped: 0 };
        assert_eq!((script, known.find(&first)), (wanted, Some(script)));
        let (second, _) = known.learn(text("\n").as_bytes(), true).expect("known");
        assert_eq!((known.find(&first), known.find(&second)), (None, Some(script)));
        let (third, _) = known.learn(text(" ").as_bytes(), false).expect("known");
        assert_eq!((known.find(&second), known.find(&third)), (Some(script), None));
        assert_eq!(known.learn(b"return redis.call('del', KEYS[1])", true), None);
    }

    #[test]
    fn choice_of_a_database_is_skipped() {
        let known = KnownScripts::new(1);
        let text = "redis.pcall('SELECT', tonumber(ARGV[1])) if redis.call('get', KEYS[1]) == ARGV[2] then return \
                    redis.call('del', KEYS[1]) else return 0 end";
        let (_, script) = known.learn(text.as_bytes(), true).expect("known");
        assert_eq!(script, Script { shape: Shape::Release(Cases::ONE), skipped: 1 });
        assert_eq!(known.learn(text.replace("ARGV[2]", "ARGV[1]").as_bytes(), true), None);
    }

    #[test]
    fn each_line_of_the_table_is_another_form() {
        assert_eq!(KnownScripts::new(1).forms.len(), TEXTS.len() + FORMS.len());
        assert!(TEXTS.iter().all(|(text, _)| canonical(text).is_some()));
    }
}
