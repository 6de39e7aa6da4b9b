//! One member of the cluster, as the leader reports it.

use super::codec::{MessageError, put_text, take_text};
use crate::base::codec::{Decoder, Encode};

/// One member as the leader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberLine {
    pub node: u64,
    pub address: String,
    pub voter: bool,
    pub up: bool,
    /// Log entries that it has not acknowledged yet, if the leader knows.
    pub lag_entries: Option<u64>,
}

impl MemberLine {
    pub fn put(&self, out: &mut Vec<u8>) {
        out.put_be_u64(self.node);
        put_text(out, &self.address);
        [self.voter, self.up, self.lag_entries.is_some()].into_iter().for_each(|flag| out.put_flag(flag));
        out.put_be_u64(self.lag_entries.unwrap_or(0));
    }

    pub fn take(take: &mut Decoder<'_>) -> Result<MemberLine, MessageError> {
        let (node, address) = (take.be_u64()?, take_text(take)?);
        let (voter, up, knows_lag) = (take.flag()?, take.flag()?, take.flag()?);
        let lag = take.be_u64()?;
        Ok(MemberLine { node, address, voter, up, lag_entries: knows_lag.then_some(lag) })
    }
}
