//! Seeded luck: the same number gives the same course of a story on every machine.

/// A generator (splitmix64), or none.
#[derive(Debug, Clone)]
pub struct Chance(Option<u64>);

impl Chance {
    /// The luck of this seed.
    pub fn new(seed: u64) -> Self {
        let mut chance = Self(Some(seed));
        chance.next();
        chance
    }

    /// The luck of a story: with 0, nothing ever comes by chance, and of several things it is the first.
    pub fn of_story(luck: u64) -> Self {
        if luck == 0 { Self(None) } else { Self::new(luck) }
    }

    fn next(&mut self) -> u64 {
        let Some(state) = &mut self.0 else { return 0 };
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end.max(1)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.0.is_some() && self.below(times) == 0
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
