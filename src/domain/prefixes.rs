//! The texts of a set that a name starts with.

use super::ids::Name;
use std::collections::BTreeSet;
use std::ops::Bound;

/// From the longest to the shortest. Looks at few others, whatever their number.
pub fn prefixes_of<'a, 'n>(prefixes: &'a BTreeSet<Name>, name: &'n str) -> PrefixesOf<'a, 'n> {
    PrefixesOf { prefixes, name, bound: Bound::Included(name) }
}

pub struct PrefixesOf<'a, 'n> {
    prefixes: &'a BTreeSet<Name>,
    name: &'n str,
    /// All that are left are below it.
    bound: Bound<&'n str>,
}

impl<'a> Iterator for PrefixesOf<'a, '_> {
    type Item = &'a Name;

    /// The greatest text up to a bound is a prefix of the name, or else every prefix of the name is one of what both have in
    /// common. So each step leaves a shorter part of the name.
    fn next(&mut self) -> Option<&'a Name> {
        loop {
            let nearest = self.prefixes.range::<str, _>((Bound::Unbounded, self.bound)).next_back()?;
            let common = common_prefix(nearest, self.name);
            let is_prefix = common.len() == nearest.len();
            self.bound = if is_prefix { Bound::Excluded(common) } else { Bound::Included(common) };
            if is_prefix {
                return Some(nearest);
            }
        }
    }
}

/// What two texts have in common at their start, as a part of the second.
fn common_prefix<'a>(one: &str, other: &'a str) -> &'a str {
    let equal = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let end = (0..=equal).rev().find(|end| other.is_char_boundary(*end)).unwrap_or(0);
    &other[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same as a look at every text, for texts of few letters.
    #[test]
    fn walk_finds_what_a_look_at_all_finds() {
        let texts: Vec<String> = (0..4_u32.pow(5))
            .map(|n| (0..5).map(|at| ["", "a", "b", "ä"][(n / 4_u32.pow(at) % 4) as usize]).collect())
            .collect();
        let prefixes: BTreeSet<Name> = texts.iter().step_by(7).map(|text| Name::from(text.as_str())).collect();
        for name in &texts {
            let mut all: Vec<_> = prefixes.iter().filter(|prefix| name.starts_with(prefix.as_str())).collect();
            all.reverse();
            assert_eq!(prefixes_of(&prefixes, name).collect::<Vec<_>>(), all, "{name}");
        }
    }
}
