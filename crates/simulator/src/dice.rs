//! Chance that can be replayed: every decision is a hash of (seed, ordinal of the request, name of the decision).
//!
//! Nothing is drawn from a shared stream, so the order in which requests happen to arrive at a decision changes nothing.

/// A set of dice for one seed. Copies of it roll the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice {
    seed: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// 64 bits, fixed by the arguments and the seed. `nth` tells repeated rolls of one name apart.
    pub(crate) fn bits(self, ordinal: u64, name: &str, nth: u64) -> u64 {
        let mut hash = mix(self.seed ^ 0x6a09_e667_f3bc_c908);
        hash = mix(hash ^ ordinal);
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        mix(hash ^ mix(nth))
    }

    /// A number from 0 up to but not including 1.
    pub(crate) fn unit(self, ordinal: u64, name: &str, nth: u64) -> f64 {
        let high = u32::try_from(self.bits(ordinal, name, nth) >> 32).expect("32 bits are left after the shift");
        f64::from(high) / 4_294_967_296.0
    }

    /// True with the given probability; always at 1, never at 0.
    pub(crate) fn hit(self, rate: f64, ordinal: u64, name: &str, nth: u64) -> bool {
        // Most rates are 0, and most requests ask about all of them.
        rate > 0.0 && self.unit(ordinal, name, nth) < rate
    }

    /// One of `choices`, which must not be empty.
    pub(crate) fn pick<T: Copy>(self, choices: &[T], ordinal: u64, name: &str) -> T {
        let count = u64::try_from(choices.len()).expect("a slice's length fits");
        let index = usize::try_from(self.bits(ordinal, name, 0) % count).expect("less than a slice's length");
        choices[index]
    }
}

/// The finisher of splitmix64: every input bit reaches every output bit.
fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn the_same_seed_rolls_the_same_and_another_does_not() {
        let rolls = |seed| (0..64).map(|n| Dice::new(seed).bits(n, "callback_late", 0)).collect::<Vec<_>>();
        assert_eq!(rolls(7), rolls(7));
        assert_ne!(rolls(7), rolls(8));
    }

    #[test]
    fn a_rate_is_kept_over_many_requests() {
        let hits = (0..10_000).filter(|n| Dice::new(1).hit(0.3, *n, "x", 0)).count();
        assert!((2_800..3_200).contains(&hits), "{hits} of 10000 at a rate of 0.3");
        assert!((0..1_000).all(|n| Dice::new(1).hit(1.0, n, "x", 0)));
        assert!(!(0..1_000).any(|n| Dice::new(1).hit(0.0, n, "x", 0)));
    }
}
