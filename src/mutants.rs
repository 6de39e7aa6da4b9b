//! Planted bugs, each chosen at run time by its name in `MUTANT`: they show that the tests can fail.
//!
//! Only a build with the feature `mutants` knows any; in every other one these functions are constants.

use std::time::Duration;

/// Whether this bug is switched on: `MUTANT` names it, or several with commas between.
#[cfg(feature = "mutants")]
pub fn on(name: &str) -> bool {
    static CHOSEN: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var("MUTANT").ok());
    CHOSEN.as_deref().is_some_and(|chosen| chosen.split(',').any(|one| one == name))
}

/// Whether this bug is switched on: never.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn on(_name: &str) -> bool {
    false
}

/// How much longer each flush of the log takes: the milliseconds in the file that `MUTANT_FLUSH_DELAY` names.
#[cfg(feature = "mutants")]
pub fn flush_delay() -> Duration {
    static FILE: std::sync::LazyLock<Option<std::ffi::OsString>> =
        std::sync::LazyLock::new(|| std::env::var_os("MUTANT_FLUSH_DELAY"));
    let text = FILE.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    Duration::from_millis(text.and_then(|text| text.trim().parse().ok()).unwrap_or(0))
}

/// How much longer each flush of the log takes: no longer.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn flush_delay() -> Duration {
    Duration::ZERO
}
