//! Digits of the histogram selection (`radix_select`).

/// Bits of every digit but the first.
pub const DIGIT_BITS: u32 = 4;

/// Bits of the digits of a score of `width` bits, most significant first: 4 bits each, and one more for the first where
/// that saves a pass. The first histogram is counted while the scores arrive, so its larger number of bins costs no time.
///
/// ```
/// use spatten_arch::radix::digits;
/// assert_eq!(digits(13), [5, 4, 4]);
/// assert_eq!(digits(36), [4; 9]);
/// assert_eq!(digits(3), [3]);
/// ```
pub fn digits(width: u32) -> Vec<u32> {
    let later = width.saturating_sub(DIGIT_BITS + 1).div_ceil(DIGIT_BITS);
    let first = width - later * DIGIT_BITS;
    std::iter::once(first).chain((0..later).map(|_| DIGIT_BITS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_cover_the_width_and_only_the_first_differs() {
        for width in 1..=64 {
            let digits = digits(width);
            assert_eq!(digits.iter().sum::<u32>(), width);
            assert!(
                (1..=5).contains(&digits[0]) && digits[1..].iter().all(|&d| d == DIGIT_BITS),
                "{width}: {digits:?}"
            );
        }
    }
}
