//! Randomness of the engine: the operating system's, or a seeded one for reproducible simulations.

use std::cell::Cell;

thread_local! {
    /// Set by a simulation, which runs on one thread.
    static SEEDED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Makes everything random on this thread follow from `seed`. For simulations only: ids become guessable.
pub fn seed(seed: u64) {
    SEEDED.set(Some(seed));
}

/// 128 bits from the operating system's generator.
pub fn random_id() -> [u8; 16] {
    if let Some(bytes) = seeded() {
        return bytes;
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

pub fn random_u64() -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = random_id();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn seeded() -> Option<[u8; 16]> {
    let mut state = SEEDED.get()?;
    let (low, high) = (split_mix(&mut state), split_mix(&mut state));
    SEEDED.set(Some(state));
    Some((u128::from(high) << 64 | u128::from(low)).to_le_bytes())
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
