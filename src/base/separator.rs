//! Names that look like what other names start with.

/// Names are often paths: whoever says `deploy/` may mean all that is below it.
pub fn ends_with_separator(name: &str) -> bool {
    name.ends_with(['/', '.', ':'])
}
