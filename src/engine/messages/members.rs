//! One member of the cluster, as the leader reports it.

use super::codec::{Reader, WireError, put_text};

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
        out.extend(self.node.to_be_bytes());
        put_text(out, &self.address);
        out.extend([self.voter, self.up, self.lag_entries.is_some()].map(u8::from));
        out.extend(self.lag_entries.unwrap_or(0).to_be_bytes());
    }

    pub fn take(take: &mut Reader<'_>) -> Result<MemberLine, WireError> {
        let (node, address) = (take.u64()?, take.text()?);
        let (voter, up, knows_lag) = (take.flag()?, take.flag()?, take.flag()?);
        let lag = take.u64()?;
        Ok(MemberLine { node, address, voter, up, lag_entries: knows_lag.then_some(lag) })
    }
}
