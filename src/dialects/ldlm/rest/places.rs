//! What a request asks for beyond LDLM's: a mode, a weight, a lock delay, several names.

use super::fields::{LOCK_DELAY, MODE, NAME, NAMES, WEIGHT};
use crate::domain::{Field, Limits, Name, SHARED, Terms};
use crate::http::json_object::Value;
use crate::http::seconds::DurationField;
use crate::http::{Code, Failure};
use std::borrow::Cow;
use std::sync::Arc;

/// A name and its size, as asked for.
pub type Place<'a> = (Cow<'a, str>, u32);

/// The fields as they came.
pub struct Given<'a> {
    pub name: Option<Cow<'a, str>>,
    pub names: Value<'a>,
    pub mode: Value<'a>,
    pub weight: Value<'a>,
    pub lock_delay: Value<'a>,
    /// With the size that was given.
    pub size: Option<i32>,
}

/// What they mean.
#[derive(Debug, PartialEq)]
pub struct Places<'a> {
    /// The first name, or the only one.
    pub name: Cow<'a, str>,
    /// As LDLM has it; of the first name, if it is shared or exclusive.
    pub size: i32,
    /// Empty if `name` was given.
    pub names: Vec<Place<'a>>,
    pub is_shared: bool,
    pub weight: u32,
    pub lock_delay_ms: u64,
}

impl<'a> Given<'a> {
    pub fn read(self, limits: &Limits) -> Result<Places<'a>, Failure> {
        let Given { name, names, mode, weight, lock_delay, size } = self;
        let mode = mode.text(MODE.name)?.map(|mode| size_of_mode(&mode)).transpose()?;
        if mode.is_some() && size.is_some() {
            return Err(Failure::field(
                MODE.name,
                "mode goes without size: a counted lock is neither shared nor exclusive",
            ));
        }
        let delay = DurationField::lock_delay(LOCK_DELAY.name, limits);
        let lock_delay = lock_delay.number(LOCK_DELAY.name)?.map(|seconds| delay.ms(seconds)).transpose()?;
        let (weight, lock_delay_ms) = (read_weight(weight, size)?, lock_delay.unwrap_or(0));
        let Some(names) = names.list(NAMES.name)? else {
            let (name, is_shared) = (name.unwrap_or_default(), mode == Some(SHARED));
            return Ok(Places { name, size: size.unwrap_or(1), names: Vec::new(), is_shared, weight, lock_delay_ms });
        };
        if name.is_some() || size.is_some() {
            let what = if name.is_some() { "name" } else { "size" };
            return Err(Failure::field(NAMES.name, format!("names goes without {what}")));
        }
        let names = read_places(names, mode.unwrap_or(1), limits)?;
        let (name, is_shared) =
            names.first().map_or_else(Default::default, |(name, size)| (name.clone(), *size == SHARED));
        Ok(Places { name, size: 1, names, is_shared, weight, lock_delay_ms })
    }
}

impl Places<'_> {
    pub fn all_names(&self) -> impl Iterator<Item = &str> {
        let single = self.names.is_empty().then_some(&*self.name);
        single.into_iter().chain(self.names.iter().map(|(name, _)| &**name))
    }

    /// The terms of the hold; a plain one has none.
    pub fn terms(&self) -> Option<Arc<Terms>> {
        let is_plain = self.weight == 1 && self.lock_delay_ms == 0 && self.names.len() < 2;
        let places = self.names.iter().filter(|_| self.names.len() > 1);
        (!is_plain).then(|| {
            let names = places.map(|(name, size)| (Name::from(&**name), *size)).collect();
            Arc::new(Terms { weight: self.weight, lock_delay_ms: self.lock_delay_ms, names, value: None })
        })
    }
}

fn size_of_mode(mode: &str) -> Result<u32, Failure> {
    match mode {
        "shared" => Ok(SHARED),
        "exclusive" => Ok(1),
        _ => Err(Failure::field(MODE.name, "mode must be \"shared\" or \"exclusive\"")),
    }
}

fn read_weight(weight: Value<'_>, size: Option<i32>) -> Result<u32, Failure> {
    let Some(weight) = weight.number(WEIGHT.name)? else { return Ok(1) };
    let size =
        size.ok_or_else(|| Failure::field(WEIGHT.name, "weight goes with size: only a counted lock has places"))?;
    if weight.fract() == 0.0 && (1.0..=f64::from(size)).contains(&weight) {
        return Ok(weight as u32);
    }
    let detail = format!("weight must be a whole number from 1 to the size, {size}");
    Err(Failure::field(WEIGHT.name, detail).with_limit(u64::from(size.unsigned_abs())))
}

fn read_places<'a>(names: Vec<Value<'a>>, size: u32, limits: &Limits) -> Result<Vec<Place<'a>>, Failure> {
    check_count(names.len(), limits)?;
    names.into_iter().map(|entry| read_place(entry, size)).collect()
}

/// A name, or an object with a name and a mode.
fn read_place(entry: Value<'_>, size: u32) -> Result<Place<'_>, Failure> {
    let wrong = || Failure::field(NAMES.name, "each of names must be a name, or an object with \"name\" and \"mode\"");
    let Value::Map(fields) = entry else {
        return not_empty(entry.text(NAMES.name).ok().flatten().ok_or_else(wrong)?, size);
    };
    let known = fields.iter().all(|(field, _)| [NAME.name, MODE.name].contains(&field));
    let of = |wanted: &str| fields.iter().find(|(field, _)| *field == wanted).map(|(_, value)| value);
    let size = of(MODE.name).map_or(Ok(size), size_of_mode)?;
    match of(NAME.name) {
        Some(name) if known => not_empty(Cow::Owned(name.to_owned()), size),
        _ => Err(wrong()),
    }
}

fn not_empty(name: Cow<'_, str>, size: u32) -> Result<Place<'_>, Failure> {
    if name.is_empty() { Err(Failure::field(NAMES.name, "a name in names is empty")) } else { Ok((name, size)) }
}

/// The names of a release or a renewal.
pub fn read_names<'a>(names: Value<'a>, limits: &Limits) -> Result<Option<Vec<Cow<'a, str>>>, Failure> {
    let Some(names) = names.list(NAMES.name)? else { return Ok(None) };
    check_count(names.len(), limits)?;
    let text = |name: Value<'a>| name.text(NAMES.name).ok().flatten();
    let names: Option<Vec<_>> = names.into_iter().map(text).collect();
    names.map(Some).ok_or_else(|| Failure::field(NAMES.name, "names must be a list of names"))
}

fn check_count(count: usize, limits: &Limits) -> Result<(), Failure> {
    let limit = limits.names_max;
    if (1..=limit).contains(&(count as u64)) {
        return Ok(());
    }
    let failure = Failure::limit(NAMES.name, limit, format!("names must have from 1 to {limit} entries"));
    Err(Failure { code: Code::InvalidField, ..failure }.set_by(Field::Names.config_key()))
}
