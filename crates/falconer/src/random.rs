//! The one source of chance: bytes for secrets, and dice for what only needs to be spread.

use domain::Dice;
use rand::{TryRngCore, rngs::OsRng};

/// The dice of this process.
pub(crate) const DICE: Dice = Dice::new(draw);

/// Draws bytes from the operating system.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

#[expect(clippy::disallowed_methods, reason = "the one place that draws, from which it is passed on")]
fn draw() -> u32 {
    rand::random()
}
