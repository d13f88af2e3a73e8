//! Sum of a row's exponentials. Part of `softmax`. Paper: section IV-F.

/// f64
pub fn reference(sum: f64, exp: f64) -> f64 {
    sum + exp
}

/// # Formats   `exp_sum` + `exp` -> `exp_sum`; cannot overflow with at most `keys_on_chip` terms
#[inline]
pub fn fixed(sum: u64, exp: u32) -> u64 {
    sum + u64::from(exp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use spatten_arch::{ArchConfig, format::Formats};

    #[test]
    fn a_full_row_of_ones_fits_the_format() {
        for name in ArchConfig::NAMES {
            let config = ArchConfig::named(name).unwrap();
            let sum = (0..config.keys_on_chip).fold(0, |s, _| fixed(s, 1 << 24));
            assert!(Formats::new(&config).exp_sum.holds(sum as i64));
            assert_eq!(sum as f64 / 2f64.powi(24), (0..config.keys_on_chip).fold(0.0, |s, _| reference(s, 1.0)));
        }
    }
}
