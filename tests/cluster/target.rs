//! What is asked for: a lock, or several at once, each in a mode; and which modes go together.

use serde::{Deserialize, Serialize};

/// How a holder has a lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Exclusive,
    Shared,
    /// So many of the places of a lock of this size.
    Counted {
        size: u32,
        weight: u32,
    },
}

/// One name, or the first of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub name: String,
    #[serde(default, skip_serializing_if = "Mode::is_exclusive")]
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Place>,
}

/// A name besides the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub name: String,
    #[serde(default, skip_serializing_if = "Mode::is_exclusive")]
    pub mode: Mode,
}

impl Mode {
    pub fn is_exclusive(&self) -> bool {
        *self == Mode::Exclusive
    }

    /// Whether holders with these modes may have one lock at the same moment.
    pub fn go_together(modes: impl IntoIterator<Item = Mode>) -> bool {
        let modes: Vec<Mode> = modes.into_iter().collect();
        match modes.as_slice() {
            [] | [Mode::Exclusive] => true,
            [Mode::Counted { size, .. }, ..] => {
                let weight = |mode: &Mode| match mode {
                    Mode::Counted { size: other, weight } => (other == size).then_some(u64::from(*weight)),
                    Mode::Exclusive | Mode::Shared => None,
                };
                modes.iter().map(weight).sum::<Option<u64>>().is_some_and(|sum| sum <= u64::from(*size))
            }
            modes => modes.iter().all(|mode| *mode == Mode::Shared),
        }
    }
}

impl Target {
    pub fn new(name: &str, mode: Mode) -> Self {
        Self { name: name.to_owned(), mode, others: Vec::new() }
    }

    /// Several names at once. Panics without any.
    pub fn several(names: impl IntoIterator<Item = (String, Mode)>) -> Self {
        let mut names = names.into_iter();
        let (name, mode) = names.next().expect("at least one name");
        Self { name, mode, others: names.map(|(name, mode)| Place { name, mode }).collect() }
    }

    pub fn places(&self) -> impl Iterator<Item = (&str, Mode)> {
        let others = self.others.iter().map(|place| (place.name.as_str(), place.mode));
        std::iter::once((self.name.as_str(), self.mode)).chain(others)
    }

    pub fn mode_of(&self, name: &str) -> Option<Mode> {
        self.places().find(|(of, _)| *of == name).map(|(_, mode)| mode)
    }

    pub fn is_of_several(&self) -> bool {
        !self.others.is_empty()
    }
}

impl From<&str> for Target {
    fn from(name: &str) -> Self {
        Self::new(name, Mode::Exclusive)
    }
}

impl From<&String> for Target {
    fn from(name: &String) -> Self {
        name.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::Mode::{self, Counted, Exclusive, Shared};

    #[test]
    fn only_shared_ones_and_weights_up_to_the_size_go_together() {
        let of = |size, weight| Counted { size, weight };
        for fine in [&[][..], &[Exclusive], &[Shared], &[Shared, Shared], &[of(4, 3), of(4, 1)], &[of(1, 1)]] {
            assert!(Mode::go_together(fine.iter().copied()), "{fine:?}");
        }
        for wrong in [
            &[Exclusive, Exclusive][..],
            &[Exclusive, Shared],
            &[Shared, Exclusive],
            &[of(4, 3), of(4, 2)],
            &[of(4, 1), of(3, 1)],
            &[of(4, 1), Shared],
            &[Exclusive, of(4, 1)],
        ] {
            assert!(!Mode::go_together(wrong.iter().copied()), "{wrong:?}");
        }
    }
}
