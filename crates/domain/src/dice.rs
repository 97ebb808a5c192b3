//! Chance, passed in like the clock, so that a test can repeat what it saw.

/// A source of evenly spread 32-bit numbers. Nothing secret hangs on it.
#[derive(Clone, Copy)]
pub struct Dice(fn() -> u32);

impl Dice {
    pub const fn new(draw: fn() -> u32) -> Self {
        Self(draw)
    }

    /// A number from 0 to 1.
    pub fn unit(self) -> f64 {
        f64::from((self.0)()) / f64::from(u32::MAX)
    }

    /// A number of 31 bits, which every model that takes a seed accepts.
    pub fn seed(self) -> i64 {
        i64::from((self.0)() >> 1)
    }
}

impl std::fmt::Debug for Dice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dice")
    }
}
