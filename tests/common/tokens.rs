//! Lists of tokens.

use spatten_testkit::Rng;

/// `count` of the tokens below `below`, ascending.
pub fn ascending(count: usize, below: usize, rng: &mut Rng) -> Vec<u16> {
    let mut left = count;
    let takes = |token: &usize| {
        let takes = rng.below((below - token) as u64) < left as u64;
        left -= usize::from(takes);
        takes
    };
    (0..below).filter(takes).map(|token| token as u16).collect()
}
