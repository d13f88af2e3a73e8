//! Closes the gaps in a beat, order kept. Siblings: `hw`, `sim`, `tests/zero_eliminator.rs`.
//! Paper: SpAtten section IV-C, Fig. 10: prefix sum of the gaps, then log2(P) levels of shifts.

use crate::prefix_sum;

/// The kept elements in order: a filter.
pub fn reference<T: Clone>(beat: &[Option<T>]) -> Vec<T> {
    beat.iter().flatten().cloned().collect()
}

/// One beat through the shift network: kept elements move down by the number of gaps below them, one power of two per
/// level, least significant first.
///
/// # Shapes   `[P]` -> `[P]`, the kept ones first
pub fn fixed<T: Clone>(beat: &[Option<T>]) -> Vec<Option<T>> {
    let gaps: Vec<bool> = beat.iter().map(Option::is_none).collect();
    let mut lanes: Vec<Option<(T, u32)>> =
        beat.iter().cloned().zip(prefix_sum::fixed(&gaps)).map(|(x, shift)| x.map(|x| (x, shift))).collect();
    let mut level = 0;
    while 1 << level < lanes.len() {
        let distance = 1 << level;
        for lane in 0..lanes.len() {
            // A lane's target below was a gap or has moved already: lanes go in ascending order.
            if lanes[lane].as_ref().is_some_and(|(_, shift)| shift >> level & 1 == 1) {
                lanes[lane - distance] = lanes[lane].take();
            }
        }
        level += 1;
    }
    lanes.into_iter().map(|l| l.map(|(x, _)| x)).collect()
}

/// A whole stream of beats into full beats (the last may be partial).
///
/// # Panics   where `lanes` is 0
pub fn pack<T: Clone>(beats: &[Vec<Option<T>>], lanes: usize) -> Vec<Vec<T>> {
    let kept: Vec<T> = beats.iter().flat_map(|b| fixed(b)).flatten().collect();
    kept.chunks(lanes).map(<[T]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use spatten_testkit::Checks;

    #[test]
    fn all_patterns_of_up_to_twelve_lanes_equal_a_filter() {
        let mut checks = Checks::new("zero_eliminator_exhaustive");
        for lanes in 0..=12usize {
            for pattern in 0..1u32 << lanes {
                let beat: Vec<Option<usize>> = (0..lanes).map(|i| (pattern >> i & 1 == 1).then_some(i)).collect();
                let out = fixed(&beat);
                let kept = reference(&beat);
                checks.that(
                    out.len() == lanes
                        && out[..kept.len()].iter().flatten().copied().eq(kept.iter().copied())
                        && out[kept.len()..].iter().all(Option::is_none),
                    || format!("{lanes} lanes, {pattern:#b}: {out:?}"),
                );
            }
        }
        checks.finish((1 << 13) - 1);
    }

    proptest! {
        #[test]
        fn a_stream_equals_a_filter(
            stream in prop::collection::vec(prop::collection::vec(prop::option::of(any::<u8>()), 16), 0..20)
        ) {
            let all: Vec<u8> = stream.iter().flat_map(|b| reference(b)).collect();
            let packed = pack(&stream, 16);
            prop_assert_eq!(packed.concat(), all);
            prop_assert!(packed.iter().rev().skip(1).all(|b| b.len() == 16));
        }
    }
}
