//! Functional coverage: a test that is to meet ties, stalls or saturation proves that it has.

use std::collections::BTreeMap;

/// Named counters.
///
/// ```
/// let mut coverage = spatten_sim::cosim::Coverage::default();
/// coverage.hit("tie");
/// coverage.require(&["tie"]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    counts: BTreeMap<&'static str, u64>,
}

impl Coverage {
    /// Counts one occurrence.
    pub fn hit(&mut self, name: &'static str) {
        self.add(name, 1);
    }

    /// Counts `times` occurrences.
    pub fn add(&mut self, name: &'static str, times: u64) {
        *self.counts.entry(name).or_default() += times;
    }

    /// How often it happened.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// # Panics
    /// Where one of the names never happened, naming all of those.
    #[track_caller]
    pub fn require(&self, names: &[&str]) {
        let missing: Vec<_> = names.iter().filter(|name| self.count(name) == 0).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}; counted: {:?}", self.counts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = r#"never happened: ["saturation", "empty"]; counted: {"empty": 0, "tie": 2}"#)]
    fn what_never_happened_is_named() {
        let mut coverage = Coverage::default();
        coverage.hit("tie");
        coverage.hit("tie");
        coverage.add("empty", 0);
        coverage.require(&["tie", "saturation", "empty"]);
    }
}
