//! Who asks, as the table keeps it: whose sessions are whose, and who uses how much.

use super::codec::{DecodeError, Put, Take};

/// Two numbers that are made outside the domain; 0 stands for nobody and nowhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Caller {
    /// A digest of the credential; 0 where nobody has to say who they are, and in what older releases wrote.
    pub credential: u64,
    /// The group of addresses: an IPv4 address, or the /64 of an IPv6 one.
    pub address: u64,
}

const HAS_CREDENTIAL: u8 = 1;
const HAS_ADDRESS: u8 = 2;

impl Caller {
    pub const NOBODY: Caller = Caller { credential: 0, address: 0 };

    pub(super) fn put(self, out: &mut Vec<u8>) {
        let flag = |number: u64, flag: u8| if number == 0 { 0 } else { flag };
        out.put_u8(flag(self.credential, HAS_CREDENTIAL) | flag(self.address, HAS_ADDRESS));
        for number in [self.credential, self.address].into_iter().filter(|number| *number != 0) {
            out.put_raw(&number.to_be_bytes());
        }
    }

    pub(super) fn take(take: &mut Take) -> Result<Caller, DecodeError> {
        let flags = take.u8()?;
        if flags > HAS_CREDENTIAL | HAS_ADDRESS {
            return Err(DecodeError::Unknown { what: "caller", value: flags.into() });
        }
        let mut number = |flag: u8| if flags & flag == 0 { Ok(0) } else { take_number(take) };
        Ok(Caller { credential: number(HAS_CREDENTIAL)?, address: number(HAS_ADDRESS)? })
    }
}

/// What is not there has no bytes, so that equal tables have equal ones.
fn take_number(take: &mut Take) -> Result<u64, DecodeError> {
    let bytes: [u8; 8] = take.raw(8)?.try_into().map_err(|_| DecodeError::Truncated)?;
    match u64::from_be_bytes(bytes) {
        0 => Err(DecodeError::Range),
        number => Ok(number),
    }
}
