//! Randomness: the operating system's, or a source that a simulation sets so that its runs can be repeated.

use std::cell::RefCell;

/// Makes 128 random bits.
pub type RandomSource = Box<dyn FnMut() -> [u8; 16]>;

thread_local! {
    /// Set by a simulation, which runs on one thread.
    static SOURCE: RefCell<Option<RandomSource>> = const { RefCell::new(None) };
}

/// Takes everything random on this thread from `source`. For simulations only: ids become guessable.
pub fn set_source(source: RandomSource) {
    SOURCE.set(Some(source));
}

/// 128 random bits.
pub fn random_id() -> [u8; 16] {
    if let Some(bytes) = SOURCE.with_borrow_mut(|source| source.as_mut().map(|source| source())) {
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
