//! Planted bugs, each switched on at run time by its name in `MUTANT`: they show that the tests can fail.
//!
//! Only a build with the feature `mutants` contains them; in every other build [`planted!`] compiles to nothing.

/// A planted bug, in one of three forms:
///
/// - `planted!("name" => return Ok(()));` runs a statement while the bug is on;
/// - `planted!("name", right => wrong)` is `right`, or `wrong` while the bug is on;
/// - `planted!("name")` is true while the bug is on.
macro_rules! planted {
    ($name:literal) => {
        cfg!(feature = "mutants") && $crate::mutants::on($name)
    };
    ($name:literal => $bug:expr) => {
        #[cfg(feature = "mutants")]
        if $crate::mutants::on($name) {
            $bug
        }
    };
    ($name:literal, $right:expr => $wrong:expr) => {{
        #[cfg(feature = "mutants")]
        let value = if $crate::mutants::on($name) { $wrong } else { $right };
        #[cfg(not(feature = "mutants"))]
        let value = $right;
        value
    }};
}
pub(crate) use planted;

/// Whether `MUTANT` names this bug, alone or among others with commas between them.
#[cfg(feature = "mutants")]
pub fn on(name: &str) -> bool {
    static CHOSEN: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var("MUTANT").ok());
    CHOSEN.as_deref().is_some_and(|chosen| chosen.split(',').any(|one| one == name))
}

/// No bug is on.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn on(_name: &str) -> bool {
    false
}

/// How much longer each flush of the log takes: the milliseconds in the file that `MUTANT_FLUSH_DELAY` names.
#[cfg(feature = "mutants")]
pub fn flush_delay() -> std::time::Duration {
    static FILE: std::sync::LazyLock<Option<std::ffi::OsString>> =
        std::sync::LazyLock::new(|| std::env::var_os("MUTANT_FLUSH_DELAY"));
    let text = FILE.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    std::time::Duration::from_millis(text.and_then(|text| text.trim().parse().ok()).unwrap_or(0))
}
