//! Random choices that can be repeated: each test prints its seed and takes it back from `PROOF_SEED`.

/// A small generator (splitmix64); good enough to choose what a client does next.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// Seeded from `PROOF_SEED`, or else from the system, and printed either way.
    pub fn seeded(test: &str) -> Self {
        let seed =
            std::env::var("PROOF_SEED").ok().map_or_else(fresh, |text| text.parse().expect("PROOF_SEED is a number"));
        println!("{test}: PROOF_SEED={seed}");
        Self(seed)
    }

    /// With choices that follow from `seed`.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// What `PROOF_SEED` has to be for the same choices from here on.
    pub fn seed(&self) -> u64 {
        self.0
    }

    /// A generator of its own for a thread.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a usize")
    }
}

fn fresh() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    u64::from_ne_bytes(bytes)
}

/// How many rounds a crash test runs: `PROOF_ROUNDS`, or what CI runs.
pub fn rounds(in_ci: usize) -> usize {
    std::env::var("PROOF_ROUNDS").ok().map_or(in_ci, |text| text.parse().expect("PROOF_ROUNDS is a number"))
}
