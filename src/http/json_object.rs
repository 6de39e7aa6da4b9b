//! JSON objects with a few known fields, read the way protobuf's JSON mapping reads them.
//!
//! Each field has two names, unknown fields are refused (or skipped, as protobuf does), `null` is unset, a field given twice is an error, numbers may
//! be strings. Every request of two dialects passes here, so values are borrowed from the body where they can be.

use super::code::Code;
use super::failure::Failure;
use super::unknown_fields::{UnknownFields, unknown_field};
use crate::domain::Metadata;
use serde::de::{self, DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// A field's names: the declared one, and its camel case.
pub struct FieldName {
    pub name: &'static str,
    pub alias: &'static str,
}

impl FieldName {
    /// A name of one word, which is its own camel case.
    pub const fn word(name: &'static str) -> FieldName {
        FieldName { name, alias: name }
    }
}

/// The value of a field.
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'a> {
    Unset,
    Number(f64),
    Text(Cow<'a, str>),
    Map(Metadata),
    List(Vec<Value<'a>>),
}

/// Whether anything may follow the object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trailing {
    /// Anything may: LDLM never looked.
    Ignored,
    /// White space only.
    Refused,
}

/// The values of the schema's fields, in its order. A blank body is an empty object.
pub fn parse<'a, const N: usize>(
    body: &'a [u8],
    schema: &'static [FieldName; N],
    trailing: Trailing,
    unknown: UnknownFields,
) -> Result<[Value<'a>; N], Failure> {
    if body.trim_ascii().is_empty() {
        return Ok([const { Value::Unset }; N]);
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let (mut at_fault, mut unknown_name) = (None, None);
    let visitor = ObjectVisitor {
        schema,
        at_fault: &mut at_fault,
        unknown_name: (unknown == UnknownFields::Refuse).then_some(&mut unknown_name),
    };
    let values = reader.deserialize_map(visitor);
    let values = values.and_then(|values| match trailing {
        Trailing::Ignored => Ok(values),
        Trailing::Refused => reader.end().map(|()| values),
    });
    values.map_err(|error| match unknown_name {
        Some(given) => unknown_field(&given, &schema.each_ref().map(|field| field.name)),
        None => explain(&error, at_fault, describe_non_json(body)),
    })
}

fn explain(error: &serde_json::Error, at_fault: Option<&'static str>, advice: Option<&'static str>) -> Failure {
    if let Some(advice) = advice {
        return Failure::new(Code::MalformedBody, advice);
    }
    let full = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = full.strip_suffix(&place).unwrap_or(&full);
    let (line, column) = (error.line(), error.column());
    match at_fault {
        Some(field) if !error.is_eof() => {
            Failure::field(field, format!("(line {line}:{column}): {text} (field {field})"))
        }
        _ if error.is_eof() => Failure::new(Code::MalformedBody, "unexpected EOF"),
        _ => Failure::new(Code::MalformedBody, format!("syntax error (line {line}:{column}): {text}")),
    }
}

impl<'a> Value<'a> {
    pub fn text(self, field: &'static str) -> Result<Option<Cow<'a, str>>, Failure> {
        match self {
            Value::Unset => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            Value::Number(_) | Value::Map(_) | Value::List(_) => Err(wrong(field, "a string")),
        }
    }

    /// A number, or a string that holds one; perhaps not a finite one.
    pub fn number(self, field: &'static str) -> Result<Option<f64>, Failure> {
        match self {
            Value::Unset => Ok(None),
            Value::Number(number) => Ok(Some(number)),
            Value::Text(text) => text.parse().map(Some).map_err(|_| wrong(field, "a number")),
            Value::Map(_) | Value::List(_) => Err(wrong(field, "a number")),
        }
    }

    pub fn map(self, field: &'static str) -> Result<Metadata, Failure> {
        match self {
            Value::Unset => Ok(Metadata::default()),
            Value::Map(map) => Ok(map),
            Value::Number(_) | Value::Text(_) | Value::List(_) => Err(wrong(field, "an object of strings")),
        }
    }

    pub fn list(self, field: &'static str) -> Result<Option<Vec<Value<'a>>>, Failure> {
        match self {
            Value::Unset => Ok(None),
            Value::List(list) => Ok(Some(list)),
            Value::Number(_) | Value::Text(_) | Value::Map(_) => Err(wrong(field, "a list")),
        }
    }
}

fn wrong(field: &'static str, wanted: &str) -> Failure {
    Failure::field(field, format!("invalid value for field {field}: it must be {wanted}"))
}

struct ObjectVisitor<'f, const N: usize> {
    schema: &'static [FieldName; N],
    /// The field whose value is being read, for the message.
    at_fault: &'f mut Option<&'static str>,
    /// Set to the first unknown field; `None` skips unknown fields.
    unknown_name: Option<&'f mut Option<String>>,
}

impl<'de, const N: usize> Visitor<'de> for ObjectVisitor<'_, N> {
    type Value = [Value<'de>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut values = [const { Value::Unset }; N];
        let (schema, at_fault, mut unknown_name) = (self.schema, self.at_fault, self.unknown_name);
        while let Some(place) = fields.next_key_seed(FieldSeed { schema, unknown_name: unknown_name.as_deref_mut() })? {
            let Some(place) = place else {
                fields.next_value::<de::IgnoredAny>()?;
                continue;
            };
            *at_fault = Some(schema[place].name);
            let value = fields.next_value_seed(ValueSeed)?;
            if value != Value::Unset {
                if values[place] != Value::Unset {
                    return Err(de::Error::custom("duplicate field"));
                }
                values[place] = value;
            }
            *at_fault = None;
        }
        Ok(values)
    }
}

/// Finds the place of a field without keeping its name, unless it is unknown and that is an error.
struct FieldSeed<'f, const N: usize> {
    schema: &'static [FieldName; N],
    unknown_name: Option<&'f mut Option<String>>,
}

impl<'de, const N: usize> DeserializeSeed<'de> for FieldSeed<'_, N> {
    type Value = Option<usize>;

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<const N: usize> Visitor<'_> for FieldSeed<'_, N> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let place = self.schema.iter().position(|field| field.name == text || field.alias == text);
        match self.unknown_name.filter(|_| place.is_none()) {
            Some(unknown_name) => {
                *unknown_name = Some(text.to_owned());
                Err(E::custom("unknown field"))
            }
            None => Ok(place),
        }
    }
}

struct ValueSeed;

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value<'de>;

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<Value<'de>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number, a list or an object of strings")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value<'de>, E> {
        Ok(Value::Unset)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(ValueSeed)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry::<String, String>()? {
            if map.insert(key, value).is_some() {
                return Err(de::Error::custom("duplicate key in an object of strings"));
            }
        }
        Ok(Value::Map(map.into_iter().collect()))
    }
}

/// Advice for the sender of these bytes; `None` if they look like broken JSON.
pub fn describe_non_json(body: &[u8]) -> Option<&'static str> {
    Some(match body {
        [0xef, 0xbb, 0xbf, ..] => "the body begins with a byte order mark: send JSON as UTF-8 without one",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, b'{', ..] | [b'{', 0, ..] => "the body is UTF-16: send JSON as UTF-8",
        [0x1f, 0x8b, ..] => "the body is compressed with gzip: send JSON uncompressed",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "the body is compressed with zstd: send JSON uncompressed",
        _ if is_form(body) => {
            "the body is a form: send a JSON object, such as {\"name\": \"deploy\"}, with Content-Type: application/json"
        }
        _ if is_multipart(body) => {
            "the body is a multipart form: send a JSON object with Content-Type: application/json"
        }
        _ => return None,
    })
}

/// `name=value` pairs, as `curl -d` and browsers send them.
fn is_form(body: &[u8]) -> bool {
    let name = body.split(|byte| *byte == b'=').next().unwrap_or_default();
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.%+[]".contains(byte);
    !name.is_empty() && name.len() < body.len() && name.iter().all(in_name)
}

fn is_multipart(body: &[u8]) -> bool {
    body.starts_with(b"--") && body.windows(20).take(512).any(|part| part.eq_ignore_ascii_case(b"content-disposition:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_json_is_recognised() {
        for (body, naming) in [
            (&b"\xef\xbb\xbf{}"[..], "byte order mark"),
            (b"\xff\xfe{\0}\0", "UTF-16"),
            (b"{\0}\0", "UTF-16"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"name=a&lock_timeout_seconds=30", "form"),
            (b"name=", "form"),
            (b"--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\na\r\n--x--\r\n", "multipart"),
        ] {
            assert!(
                describe_non_json(body).is_some_and(|advice| advice.contains(naming)),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
        for body in [&b"{\"name\""[..], b"null", b"[]", b"x", b"\"a=b\"", b"=", b"a b=c", b""] {
            assert_eq!(describe_non_json(body), None, "{}", String::from_utf8_lossy(body));
        }
    }
}
