//! What of the service a caller may be shown: which names, and a session without its secret.

use super::identity::Identity;

impl Identity {
    /// No prefix narrows this caller.
    pub fn sees_every_name(&self) -> bool {
        self.prefixes().is_empty()
    }

    /// The prefixes under which lie all names that start with `asked` and that this caller may see: none inside
    /// another, in order. `asked` itself where the caller is not limited; none where it may see nothing of it.
    pub fn prefixes_under(&self, asked: &str) -> Vec<String> {
        if self.sees_every_name() {
            return vec![asked.to_owned()];
        }
        let narrow = |own: &str| match (own.starts_with(asked), asked.starts_with(own)) {
            (true, _) => Some(own.to_owned()),
            (false, true) => Some(asked.to_owned()),
            (false, false) => None,
        };
        let mut found: Vec<String> = self.prefixes().iter().filter_map(|own| narrow(own)).collect();
        found.sort();
        // What starts with an earlier one lies inside it; sorted, it comes right after.
        found.dedup_by(|later, earlier| later.starts_with(earlier.as_str()));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::*;

    #[test]
    fn limited_caller_sees_intersection_of_prefixes() {
        let prefixes = ["ops/", "build/", "build/app/"].map(String::from);
        let caller = Identity::new("ci", Role::Client, &prefixes);
        assert!(!caller.sees_every_name());
        assert_eq!(caller.prefixes_under(""), ["build/", "ops/"]);
        assert_eq!(caller.prefixes_under("build/app/7"), ["build/app/7"]);
        assert_eq!(caller.prefixes_under("b"), ["build/"]);
        assert!(caller.prefixes_under("secret/").is_empty());
    }

    #[test]
    fn unlimited_caller_sees_every_prefix_asked() {
        let caller = Identity::anonymous(Role::Client);
        assert!(caller.sees_every_name());
        assert_eq!(caller.prefixes_under(""), [""]);
        assert_eq!(caller.prefixes_under("x"), ["x"]);
    }
}
