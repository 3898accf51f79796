//! Luck that is the same on every machine.

/// A linear congruential generator (Knuth's constants), its upper half taken.
#[derive(Debug, Clone)]
pub struct Luck(u64);

impl Luck {
    /// The luck of this seed.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        let mut luck = Self(u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03);
        luck.share();
        luck
    }

    /// A number from 0 to 1.
    pub fn share(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }

    /// How long an answer takes whose median is this, spread as answers are: log-normal, with a sigma of a half.
    pub fn latency(&mut self, median: f64) -> f64 {
        // The sum of twelve even numbers is nearly normal.
        let normal: f64 = (0..12).map(|_| self.share()).sum::<f64>() - 6.0;
        median * (0.5 * normal).exp()
    }
}
