//! The graded sentence set.

use crate::cli::Failure;
use crate::model::Encoder;
use serde::Deserialize;
use std::path::Path;

/// Which topics a figure is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Topics 0, 2, 4, ...: sweeps and searches look at these.
    Tune,
    /// Topics 1, 3, 5, ...: only chosen plans are measured here.
    Test,
}

impl Half {
    /// `tune` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tune => "tune",
            Self::Test => "test",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    topic: Vec<Topic>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    name: String,
    anchor: String,
    variant: Vec<Variant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    grade: f64,
    text: String,
}

/// One text.
#[derive(Debug, Clone)]
pub struct Text {
    /// Token ids.
    pub ids: Vec<u32>,
    half: Half,
}

/// An anchor and a variant of its topic, as indices of texts.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// Index of the anchor.
    pub anchor: usize,
    /// Index of the variant.
    pub variant: usize,
    /// 0 (unrelated) to 5 (same meaning).
    pub grade: f64,
}

/// All texts and pairs.
#[derive(Debug, Clone)]
pub struct SentenceSet {
    /// Texts of all topics used.
    pub texts: Vec<Text>,
    pairs: Vec<Pair>,
}

impl SentenceSet {
    /// Reads and tokenises a set; of each half only every `every`-th topic.
    pub fn load(path: &Path, encoder: &Encoder, every: usize) -> Result<Self, Failure> {
        let file: File = spatten_arch::toml_file::load(path, "graded sentences")?;
        let mut set = Self { texts: vec![], pairs: vec![] };
        for (index, topic) in file.topic.iter().enumerate() {
            if (index / 2) % every != 0 {
                continue;
            }
            let half = if index % 2 == 0 { Half::Tune } else { Half::Test };
            let mut add = |text: &str| -> Result<usize, Failure> {
                set.texts.push(Text { ids: encoder.tokenize(text)?.ids, half });
                Ok(set.texts.len() - 1)
            };
            let anchor = add(&topic.anchor)?;
            for v in &topic.variant {
                if !(0.0..=5.0).contains(&v.grade) {
                    let name = &topic.name;
                    return Err(Failure::input(format!(
                        "{}: topic {name:?}: grade = {}, expected 0 to 5",
                        path.display(),
                        v.grade
                    )));
                }
                let variant = add(&v.text)?;
                set.pairs.push(Pair { anchor, variant, grade: v.grade });
            }
        }
        for half in [Half::Tune, Half::Test] {
            if set.pairs(half).len() < 2 {
                return Err(Failure::input(format!(
                    "{}: {} pairs in the {} half, expected at least 2",
                    path.display(),
                    set.pairs(half).len(),
                    half.name()
                )));
            }
        }
        Ok(set)
    }

    /// Indices of a half's texts.
    pub fn half(&self, half: Half) -> Vec<usize> {
        (0..self.texts.len()).filter(|&i| self.texts[i].half == half).collect()
    }

    /// Pairs of a half.
    pub fn pairs(&self, half: Half) -> Vec<Pair> {
        self.pairs.iter().copied().filter(|p| self.texts[p.anchor].half == half).collect()
    }

    /// Tokens of the longest text.
    pub fn longest(&self) -> usize {
        self.texts.iter().map(|t| t.ids.len()).max().unwrap_or(0)
    }

    /// One line about the set.
    pub fn summary(&self) -> String {
        let tokens: usize = self.texts.iter().map(|t| t.ids.len()).sum();
        format!(
            "{} texts of {} to {} tokens (mean {:.1}), {} graded pairs; {} texts in the tune half, {} in the test half",
            self.texts.len(),
            self.texts.iter().map(|t| t.ids.len()).min().unwrap_or(0),
            self.longest(),
            tokens as f64 / self.texts.len() as f64,
            self.pairs.len(),
            self.half(Half::Tune).len(),
            self.half(Half::Test).len()
        )
    }
}
