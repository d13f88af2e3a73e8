//! Contents of the two tables of `softmax`, computed with integers only so that every host, and every consumer that
//! is generated from here, has the same bits.
//!
//! Both are chords between neighbouring entries: continuous, monotone, exact at the entries, and one subtraction and one
//! small multiplication in hardware. The chord lies above a convex function by at most h^2/8 * max f'':
//! 1.5e-5 relative for the exponential (64 entries), 2^-18 for the reciprocal (256 entries).

use crate::format::{EXP_FRACTION, RECIPROCAL_TABLE_FRACTION};

/// log2 of the number of segments of the exponential table.
pub const EXP_INDEX_BITS: u32 = 6;
/// log2 of the number of segments of the reciprocal table.
pub const RECIPROCAL_INDEX_BITS: u32 = 8;

const EXP_ENTRIES: usize = (1 << EXP_INDEX_BITS) + 1;
const RECIPROCAL_ENTRIES: usize = (1 << RECIPROCAL_INDEX_BITS) + 1;

/// `2^(-i/64)`, U1.24, i = 0..=64. The slope of segment i is `EXP[i] - EXP[i + 1]`.
pub static EXP: [u32; EXP_ENTRIES] = exp_table();

/// `1 / (1 + i/256)`, U1.18, i = 0..=256.
pub static RECIPROCAL: [u32; RECIPROCAL_ENTRIES] = reciprocal_table();

const fn isqrt(x: u128) -> u128 {
    let (mut low, mut high) = (0u128, 1u128 << 64);
    while high - low > 1 {
        let mid = (low + high) / 2;
        if mid * mid <= x { low = mid } else { high = mid }
    }
    low
}

const fn exp_table() -> [u32; EXP_ENTRIES] {
    // roots[b] = 2^(-1/2^(b+1)) with 60 fraction bits, each the square root of the one before.
    const FRACTION: u32 = 60;
    let mut roots = [0u128; EXP_INDEX_BITS as usize];
    let mut previous = 1u128 << (FRACTION - 1);
    let mut b = 0;
    while b < roots.len() {
        previous = isqrt(previous << FRACTION);
        roots[b] = previous;
        b += 1;
    }
    let mut table = [0u32; EXP_ENTRIES];
    let mut i = 0;
    while i < EXP_ENTRIES {
        let mut value = 1u128 << FRACTION;
        let mut b = 0;
        while b < roots.len() {
            if (i >> (roots.len() - 1 - b)) & 1 == 1 {
                value = (value * roots[b]) >> FRACTION;
            }
            b += 1;
        }
        if i == EXP_ENTRIES - 1 {
            value = 1u128 << (FRACTION - 1);
        }
        let shift = FRACTION - EXP_FRACTION;
        table[i] = ((value + (1 << (shift - 1))) >> shift) as u32;
        i += 1;
    }
    table
}

const fn reciprocal_table() -> [u32; RECIPROCAL_ENTRIES] {
    let mut table = [0u32; RECIPROCAL_ENTRIES];
    let mut i = 0;
    while i < RECIPROCAL_ENTRIES {
        let denominator = (1u64 << RECIPROCAL_INDEX_BITS) + i as u64;
        let numerator = 1u64 << (RECIPROCAL_TABLE_FRACTION + RECIPROCAL_INDEX_BITS);
        table[i] = ((2 * numerator + denominator) / (2 * denominator)) as u32;
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_table_is_two_to_minus_x_rounded() {
        for (i, &entry) in EXP.iter().enumerate() {
            let exact = (-(i as f64) / 64.0).exp2() * f64::from(1u32 << EXP_FRACTION);
            assert!((f64::from(entry) - exact).abs() <= 0.5 + 1e-6, "entry {i}: {entry} against {exact}");
        }
        assert_eq!(EXP[0], 1 << EXP_FRACTION);
    }

    #[test]
    fn reciprocal_table_is_one_over_x_rounded() {
        for (i, &entry) in RECIPROCAL.iter().enumerate() {
            let exact = f64::from(1u32 << RECIPROCAL_TABLE_FRACTION) / (1.0 + i as f64 / 256.0);
            assert!((f64::from(entry) - exact).abs() <= 0.5 + 1e-6, "entry {i}: {entry} against {exact}");
        }
        assert_eq!(RECIPROCAL[0], 1 << RECIPROCAL_TABLE_FRACTION);
    }
}
