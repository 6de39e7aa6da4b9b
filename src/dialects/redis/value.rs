//! Values: bytes that a client chooses, and that prove its hold. The table keeps them as owner labels of their own form, so
//! that no owner of another dialect has the same.

use super::error::RedisError;
use crate::domain::view::HoldView;
use crate::domain::{Dialect, Proof};
use arcstr::ArcStr;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// The line break keeps them apart from owners in other dialects, whose clients cannot send it with this word.
const PREFIX: &str = "redis\n";

/// A value, as the table keeps it. Never printed: who has it may release the lock.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(ArcStr);

impl Value {
    pub fn new(bytes: &[u8], bytes_max: usize) -> Result<Value, RedisError> {
        if bytes.len() > bytes_max {
            let detail =
                format!("limit-exceeded: the value must be at most {bytes_max} bytes long (redis.value_bytes_max)");
            return Err(RedisError::new(detail));
        }
        Ok(Value(format!("{PREFIX}{}", STANDARD_NO_PAD.encode(bytes)).into()))
    }

    pub fn label(&self) -> ArcStr {
        self.0.clone()
    }

    pub fn proof(&self) -> Proof {
        Proof::Label { label: self.label(), token: None }
    }

    pub fn is_of(&self, hold: &HoldView) -> bool {
        hold.dialect == Dialect::Redis && hold.label.as_ref() == Some(&self.0)
    }
}

/// The value of a hold. One of another dialect has none: this says which dialect has it, and is nobody's proof.
pub fn shown(hold: &HoldView) -> Vec<u8> {
    let own = hold.label.as_deref().filter(|_| hold.dialect == Dialect::Redis);
    let bytes = own.and_then(|label| STANDARD_NO_PAD.decode(label.strip_prefix(PREFIX)?).ok());
    bytes.unwrap_or_else(|| format!("latchd:{}", hold.dialect.as_str()).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_bytes_have_different_labels() {
        let label = |bytes: &[u8]| Value::new(bytes, 4).map(|value| value.label());
        let values: [&[u8]; 6] = [b"", b"1", b"1\n", b"\xff", b"\xfe", b"cmVk"];
        for (at, one) in values.iter().enumerate() {
            for other in &values[at + 1..] {
                assert_ne!(label(one), label(other));
            }
        }
        assert!(label(b"12345").is_err());
    }
}
