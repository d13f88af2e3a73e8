//! Exclusive counts of marked lanes. Siblings: `hw`, `sim`, `tests/prefix_sum.rs`.
//! Paper: SpAtten section IV-C, Fig. 10 (the zero eliminator's first half).

/// Number of marked lanes below each lane.
///
/// # Shapes   `[P]` -> `[P]`
pub fn reference(marked: &[bool]) -> Vec<u32> {
    (0..marked.len()).map(|i| marked[..i].iter().filter(|&&m| m).count() as u32).collect()
}

/// The same in log2(P) levels of adders: level l adds the count 2^l lanes below.
pub fn fixed(marked: &[bool]) -> Vec<u32> {
    let mut inclusive: Vec<u32> = marked.iter().map(|&m| u32::from(m)).collect();
    let mut distance = 1;
    while distance < inclusive.len() {
        for lane in (distance..inclusive.len()).rev() {
            inclusive[lane] += inclusive[lane - distance];
        }
        distance *= 2;
    }
    inclusive.iter().zip(marked).map(|(&i, &m)| i - u32::from(m)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use spatten_testkit::Checks;

    #[test]
    fn all_patterns_of_up_to_twelve_lanes() {
        let mut checks = Checks::new("prefix_sum_exhaustive");
        for lanes in 0..=12 {
            for pattern in 0..1u32 << lanes {
                let marked: Vec<bool> = (0..lanes).map(|i| pattern >> i & 1 == 1).collect();
                checks.eq(fixed(&marked), reference(&marked), || format!("{lanes} lanes, {pattern:#b}"));
            }
        }
        checks.finish((1 << 13) - 1);
    }
}
