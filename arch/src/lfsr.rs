//! Pivot generator of `quick_select`: a Galois shift register, because hardware can have the very same one.
//! Which pivot is drawn never changes the answer, only the number of passes.

/// Feedback mask of x^32 + x^30 + x^26 + x^25 + 1 (maximal length) in Galois form, shifting right.
pub const TAPS: u32 = 0xA300_0000;

/// State after reset. Any value but 0 works; 0 would stay 0.
pub const RESET: u32 = 0x5EED_0001;

/// The generator's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lfsr(u32);

impl Default for Lfsr {
    fn default() -> Self {
        Self(RESET)
    }
}

impl Lfsr {
    /// Starts from `seed`; 0 is replaced by [`RESET`].
    pub fn new(seed: u32) -> Self {
        Self(if seed == 0 { RESET } else { seed })
    }

    /// Steps once and returns an index below `count`: the upper 16 bits times `count`, upper half kept, so that no
    /// divider is needed.
    ///
    /// # Panics
    /// Where `count` is 0 or above 2^16.
    #[track_caller]
    pub fn index(&mut self, count: usize) -> usize {
        assert!((1..=1 << 16).contains(&count), "pivot among {count} candidates, expected 1..=65536");
        let out = self.0 & 1;
        self.0 >>= 1;
        if out == 1 {
            self.0 ^= TAPS;
        }
        ((self.0 >> 16) as usize * count) >> 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_in_range_and_reached() {
        let mut g = Lfsr::default();
        let mut seen = [0u32; 7];
        for _ in 0..10_000 {
            seen[g.index(7)] += 1;
        }
        assert!(seen.iter().all(|&c| c > 1000), "{seen:?}");
    }

    #[test]
    fn zero_seed_does_not_stick() {
        let mut g = Lfsr::new(0);
        let a = g.index(1 << 16);
        assert_ne!((a, g.index(1 << 16)), (0, 0));
    }
}
