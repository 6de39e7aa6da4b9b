//! Takes the digest of a frozen table, without holding anything else up.

use super::digest_log::DigestLog;
use crate::domain::FrozenTable;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// About how many records one digest covers; a larger table is covered in turns.
const RECORDS_MAX: usize = 1 << 16;
/// After so many bytes other tasks get their turn.
const BYTES_AT_A_TIME: usize = 64 << 10;

/// Runs until it is aborted.
pub async fn take_digests(digests: Arc<DigestLog>) {
    loop {
        let (index, frozen) = digests.next().await;
        let digest = digest_of(&frozen, digests.every_ms()).await;
        digests.keep(index, digest);
    }
}

async fn digest_of(frozen: &FrozenTable, span_ms: u64) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut bytes = Vec::with_capacity(2 * BYTES_AT_A_TIME);
    frozen.put_summary(&mut bytes);
    let step = frozen.records().div_ceil(RECORDS_MAX).clamp(1, FrozenTable::PARTS);
    let first = (frozen.turn(span_ms) % step as u64) as usize;
    for part in (first..FrozenTable::PARTS).step_by(step) {
        frozen.put_part(part, &mut bytes);
        if bytes.len() >= BYTES_AT_A_TIME {
            hasher.update(&bytes);
            bytes.clear();
            tokio::task::yield_now().await;
        }
    }
    hasher.update(&bytes);
    hasher.finalize().into()
}
