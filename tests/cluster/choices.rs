//! What clients of real and of simulated clusters choose to ask for: which names, how many at once, and in which mode.

use super::checks::LINEARIZABLE;
use super::target::{Mode, Target};
use crate::proof::random::Random;

/// Names under load at a time, and those of them that are asked for together; few, so that clients meet.
const NAMES: usize = 4;
const SETS: usize = 3;
/// Places of the counted lock.
const PLACES: u32 = 4;

/// The names that are checked in full. After so many uses a name has a successor, because long histories take too long to
/// check.
#[derive(Default)]
pub struct Names {
    single: [Slot; NAMES],
    together: [Slot; SETS],
}

#[derive(Clone, Copy, Default)]
struct Slot {
    generation: u32,
    uses: u32,
}

impl Names {
    /// A lock, or two or three at once, of which each has at most so many uses.
    pub fn choose(&mut self, random: &mut Random, uses_max: u32) -> Target {
        if random.below(4) > 0 {
            let slot = random.below(NAMES);
            let name = format!("{LINEARIZABLE}{slot}-{}", self.single[slot].used(uses_max));
            return Target::new(&name, mode(random));
        }
        let (first, count) = (random.below(SETS), 2 + random.below(2));
        let slots: Vec<usize> = (0..count).map(|nth| (first + nth) % SETS).collect();
        let name =
            |slot: usize, names: &mut Self| format!("{LINEARIZABLE}set-{slot}-{}", names.together[slot].used(uses_max));
        Target::several(slots.into_iter().map(|slot| (name(slot, self), mode(random))))
    }
}

impl Slot {
    fn used(&mut self, uses_max: u32) -> u32 {
        self.uses += 1;
        if self.uses > uses_max {
            *self = Self { generation: self.generation + 1, uses: 1 };
        }
        self.generation
    }
}

fn mode(random: &mut Random) -> Mode {
    [Mode::Exclusive, Mode::Exclusive, Mode::Shared][random.below(3)]
}

/// What is to have a short lease: one lock, two, or places of a counted one.
pub fn leased(random: &mut Random, names: usize) -> Target {
    let slot = random.below(names);
    let name = |slot: usize| format!("lease-{slot}");
    match random.below(8) {
        0 => Target::new("places", Mode::Counted { size: PLACES, weight: 1 + random.below(3) as u32 }),
        1 | 2 => Target::several([slot, (slot + 1) % names].map(|slot| (name(slot), mode(random)))),
        _ => Target::new(&name(slot), mode(random)),
    }
}

/// What the first of a queue asks for, who has the lock before the others come.
pub fn opening(random: &mut Random, name: &str) -> Target {
    Target::new(name, [Mode::Exclusive, Mode::Shared][random.below(2)])
}

/// What one who waits in a queue asks for. Behind a reader there is no queue before a writer has come.
pub fn queued(random: &mut Random, opening: &Target, place: u64) -> Target {
    let name = &opening.name;
    match random.below(6) {
        _ if opening.mode == Mode::Shared && place == 1 => name.into(),
        0 => Target::several([(format!("{name}-too"), mode(random)), (name.clone(), mode(random))]),
        _ => Target::new(name, [Mode::Exclusive, Mode::Shared][random.below(2)]),
    }
}

/// What a hold of one name may be converted to: to the other mode, if that is chosen.
pub fn conversion(random: &mut Random, target: &Target) -> Option<(Mode, Option<u64>)> {
    let is_chosen = random.below(3) == 0 && !target.is_of_several();
    match target.mode {
        Mode::Exclusive if is_chosen => Some((Mode::Shared, None)),
        Mode::Shared if is_chosen => Some((Mode::Exclusive, [None, Some(200), Some(800)][random.below(3)])),
        _ => None,
    }
}
