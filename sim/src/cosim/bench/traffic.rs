//! When beats are offered and taken: seeded pauses of sources and sinks.

use std::env;

/// When sources pause and sinks are not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stalls {
    /// Never: full throughput.
    None,
    /// In every cycle on its own, with these probabilities in 1/1000.
    Random {
        /// That a source with a beat waits.
        input_permille: u32,
        /// That a sink is not ready.
        output_permille: u32,
    },
    /// Runs of 1 to 40 cycles of all, nothing, or every second at random: buffers fill and drain.
    Bursts,
}

impl Stalls {
    /// One of each kind: every block test runs all of them.
    pub const EVERY: [Self; 5] = [
        Self::None,
        Self::Random { input_permille: 300, output_permille: 300 },
        Self::Random { input_permille: 0, output_permille: 700 },
        Self::Random { input_permille: 700, output_permille: 0 },
        Self::Bursts,
    ];
}

/// The seed of a test: `SPATTEN_SEED` (decimal, or hexadecimal with `0x`), or its own.
///
/// # Panics
/// Where `SPATTEN_SEED` is not a number.
pub fn seed(own: u64) -> u64 {
    let Ok(text) = env::var("SPATTEN_SEED") else { return own };
    let digits = text.strip_prefix("0x").map(|hex| u64::from_str_radix(hex, 16));
    digits.unwrap_or_else(|| text.parse()).unwrap_or_else(|e| panic!("SPATTEN_SEED={text}: {e}"))
}

/// Whether one source or sink goes in a cycle.
#[derive(Debug, Clone)]
pub(super) enum Pace {
    Always,
    /// Pauses with this probability in 1/1000.
    Random(u32),
    /// All (0), nothing (1) or every second at random (2), for the cycles left.
    Bursts {
        mode: u64,
        left: u64,
    },
}

impl Pace {
    pub(super) fn goes(&mut self, random: &mut Random) -> bool {
        match self {
            Self::Always => true,
            Self::Random(permille) => random.below(1000) >= u64::from(*permille),
            Self::Bursts { mode, left } => {
                if *left == 0 {
                    (*mode, *left) = (random.below(3), 1 + random.below(40));
                }
                *left -= 1;
                *mode == 0 || (*mode == 2 && random.below(2) == 0)
            }
        }
    }
}

/// SplitMix64, the same on every machine.
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }
}
