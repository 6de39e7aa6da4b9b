//! Layering: defaults, file, environment, flags. The last one that names a key wins, and its source is remembered
//! for messages.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::error::{ConfigError, Source};
use super::toml_errors::{self, accepted};

/// The merged document.
pub struct Layers {
    document: Table,
    /// Every key as `section.key`, with the kind of value that its default has.
    known: BTreeMap<String, Value>,
    sources: BTreeMap<String, Source>,
}

impl Layers {
    /// Starts from the document of defaults, which also says which keys exist.
    pub fn new(defaults: &str) -> Self {
        let document: Table = defaults.parse().expect("the compiled-in config.toml is TOML");
        let mut known = BTreeMap::new();
        for (name, value) in &document {
            match value {
                Value::Table(section) => {
                    known.extend(section.iter().map(|(key, value)| (format!("{name}.{key}"), value.clone())));
                }
                value => {
                    known.insert(name.clone(), value.clone());
                }
            }
        }
        Self { document, known, sources: BTreeMap::new() }
    }

    /// Every known key.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    /// Lays the text of a configuration file over what is there.
    pub fn file(&mut self, path: &str, text: &str) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|error| {
            let (line, reason) = (toml_errors::line(text, &error), toml_errors::syntax(&error));
            ConfigError::NotToml { file: path.to_owned(), line, reason }
        })?;
        let source = Source::File(path.to_owned());
        for (name, value) in table {
            match value {
                Value::Table(section) if self.document.get(&name).is_some_and(Value::is_table) => {
                    for (key, value) in section {
                        self.set(&format!("{name}.{key}"), value, source.clone())?;
                    }
                }
                Value::Table(_) if !self.known.contains_key(&name) => {
                    let sections = self.document.iter().filter(|(_, value)| value.is_table());
                    let nearest = format!("[{}]", nearest(&name, sections.map(|(name, _)| name.as_str())));
                    return Err(ConfigError::UnknownKey { source, key: format!("[{name}]"), nearest });
                }
                value => self.set(&name, value, source.clone())?,
            }
        }
        Ok(())
    }

    /// Sets one key from a text, read as the kind of value that the key has.
    pub fn text(&mut self, key: &str, text: &str, source: Source) -> Result<(), ConfigError> {
        let value = match self.known.get(key) {
            Some(kind) => typed(kind, text)
                .map_err(|accepted| bad_value(key, key, source.clone(), format!("{text:?}"), accepted.to_owned()))?,
            None => Value::String(text.to_owned()),
        };
        self.set(key, value, source)
    }

    /// Sets one key.
    pub fn set(&mut self, key: &str, value: Value, source: Source) -> Result<(), ConfigError> {
        if !self.known.contains_key(key) {
            let nearest = nearest(key, self.keys()).to_owned();
            return Err(ConfigError::UnknownKey { source, key: key.to_owned(), nearest });
        }
        let place = match key.split_once('.') {
            Some((section, key)) => self.document[section].as_table_mut().expect("a known section").entry(key),
            None => self.document.entry(key),
        };
        *place.or_insert(Value::Boolean(false)) = value;
        self.sources.insert(key.to_owned(), source);
        Ok(())
    }

    /// Reads the merged document; an error names the source of the value at fault.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        serde_path_to_error::deserialize(self.document.clone()).map_err(|error| {
            let path = error.path().to_string();
            let key = self.keys().find(|key| covers(key, &path)).unwrap_or(&path).to_owned();
            let source = self.sources.get(&key).cloned().unwrap_or(Source::Default);
            let value =
                self.value(&key).map(|value| part(value, path.strip_prefix(&key).unwrap_or_default()).to_string());
            let value = value.unwrap_or_default();
            let accepted = accepted(error.inner().message());
            bad_value(&path, &key, source, value, accepted)
        })
    }

    fn value(&self, key: &str) -> Option<&Value> {
        match key.split_once('.') {
            Some((section, key)) => self.document.get(section)?.get(key),
            None => self.document.get(key),
        }
    }
}

/// The name among `names` that differs least from `name`; a forgotten section counts as one difference.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> &'a str {
    let distance = |known: &&str| {
        let whole = strsim::damerau_levenshtein(name, known);
        let last = known.rsplit_once('.').map(|(_, last)| 1 + strsim::damerau_levenshtein(name, last));
        last.map_or(whole, |last| last.min(whole))
    };
    names.min_by_key(distance).expect("there are known names")
}

/// Reads a text from the environment or a flag as the kind of value that `kind` is.
fn typed(kind: &Value, text: &str) -> Result<Value, &'static str> {
    match kind {
        Value::Boolean(_) => text.parse().map(Value::Boolean).map_err(|_| "expected true or false"),
        Value::Integer(_) => text.parse().map(Value::Integer).map_err(|_| "expected a whole number"),
        Value::Array(_) if text.trim_start().starts_with('[') => format!("list = {text}")
            .parse::<Table>()
            .map(|mut table| table.remove("list").expect("the one key"))
            .map_err(|_| "expected a comma separated list, or a TOML list in brackets"),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// What a path such as `[1].san` leads to in the value of a key, as far as it leads.
fn part<'a>(value: &'a Value, path: &str) -> &'a Value {
    let steps = path.split(['.', '[']).filter(|step| !step.is_empty());
    steps.fold(value, |value, step| {
        let next = match step.strip_suffix(']') {
            Some(at) => at.parse::<usize>().ok().and_then(|at| value.get(at)),
            None => value.get(step),
        };
        next.unwrap_or(value)
    })
}

fn covers(key: &str, path: &str) -> bool {
    path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn bad_value(path: &str, key: &str, source: Source, value: String, accepted: String) -> ConfigError {
    // Not repeated either where it is long.
    let secret = matches!(key, "access.passwords" | "access.keys" | "access.oidc");
    ConfigError::BadValue { source, key: path.to_owned(), value: (!secret).then_some(value), accepted }
}
