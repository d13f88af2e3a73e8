//! Configurations of the chip: three named ones and the user's own as TOML.
//! Paper: SpAtten Table I (`paper`), section V-A (SpAtten-1/8: `eighth`).

use crate::toml_file::{self, FileError};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Head dimensions that the adder tree of `dot_product` can be set to, per job. Others are padded with zeros to the
/// next of these, which changes no sum.
pub const HEAD_DIMS: [usize; 4] = [16, 32, 64, 128];

/// Attention heads that one job may name (the accumulators of head importance).
pub const MAX_HEADS: usize = 128;

/// Sizes of one accelerator. Every block is generated from these; nothing is hand-copied between sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ArchConfig {
    /// Name in reports and folder names.
    pub name: String,
    /// Width of Q, K and V on chip, in bits.
    pub datapath_bits: u32,
    /// Multipliers of `dot_product`, and as many again in `multiply_value`.
    pub multipliers: usize,
    /// Keys of one head that can be attended to; also the number of token-importance accumulators per context.
    pub keys_on_chip: usize,
    /// Bytes of K SRAM, both halves of the double buffer together: two heads at D <= 64, one at D = 128.
    pub key_buffer_bytes: usize,
    /// Bytes of V SRAM, both halves together.
    pub value_buffer_bytes: usize,
    /// Scores per cycle through `softmax`.
    pub softmax_lanes: usize,
    /// Scores per cycle through `top_k`.
    pub topk_lanes: usize,
    /// Memory channels.
    pub channels: usize,
    /// Bytes per cycle of one channel.
    pub channel_bytes: usize,
    /// Words that a lane of the fetcher may have asked for: at full bandwidth, the memory latency in cycles that is hidden.
    pub words_in_flight: usize,
    /// Clock in Hz, for turning cycles into seconds; nothing else depends on it.
    pub clock_hz: u64,
}

/// What a configuration file may say: any field, on top of a named configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchFile {
    base: Option<String>,
    name: Option<String>,
    datapath_bits: Option<u32>,
    multipliers: Option<usize>,
    keys_on_chip: Option<usize>,
    key_buffer_bytes: Option<usize>,
    value_buffer_bytes: Option<usize>,
    softmax_lanes: Option<usize>,
    topk_lanes: Option<usize>,
    channels: Option<usize>,
    channel_bytes: Option<usize>,
    words_in_flight: Option<usize>,
    clock_hz: Option<u64>,
}

/// A configuration that cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchError {
    /// Unreadable or not TOML.
    #[error(transparent)]
    File(#[from] FileError),
    /// Neither a named configuration nor a file.
    #[error("unknown configuration {name:?}, expected {} or a .toml file", ArchConfig::NAMES.join(", "))]
    UnknownName {
        /// What was asked for.
        name: String,
    },
    /// A relation between sizes does not hold.
    #[error("{origin}: {relation} does not hold: {values}")]
    Relation {
        /// Name or file of the configuration.
        origin: String,
        /// The relation and its reason.
        relation: &'static str,
        /// Both sides with their values.
        values: String,
    },
}

impl ArchConfig {
    /// Names that [`ArchConfig::named`] knows.
    pub const NAMES: [&'static str; 3] = ["tiny", "eighth", "paper"];

    /// For exhaustive tests and formal proofs: everything as small as it can be and still have lanes.
    pub fn tiny() -> Self {
        Self {
            name: "tiny".into(),
            datapath_bits: 12,
            multipliers: 16,
            keys_on_chip: 64,
            key_buffer_bytes: 12_288,
            value_buffer_bytes: 12_288,
            softmax_lanes: 2,
            topk_lanes: 4,
            channels: 1,
            channel_bytes: 32,
            words_in_flight: 16,
            clock_hz: 1_000_000_000,
        }
    }

    /// SpAtten-1/8 (section V-A), with the buffers of `paper`: they fit the block RAM of an ECP5-85F.
    pub fn eighth() -> Self {
        Self {
            name: "eighth".into(),
            multipliers: 64,
            keys_on_chip: 1024,
            key_buffer_bytes: 196_608,
            value_buffer_bytes: 196_608,
            softmax_lanes: 2,
            topk_lanes: 8,
            channels: 2,
            words_in_flight: 64,
            ..Self::tiny()
        }
    }

    /// Table I of the paper. Each buffer holds two heads of 1024 keys at D <= 64 (the double buffer), or one at D = 128.
    pub fn paper() -> Self {
        Self {
            name: "paper".into(),
            multipliers: 512,
            key_buffer_bytes: 196_608,
            value_buffer_bytes: 196_608,
            softmax_lanes: 8,
            topk_lanes: 16,
            channels: 16,
            words_in_flight: 128,
            ..Self::eighth()
        }
    }

    /// One of [`ArchConfig::NAMES`].
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "tiny" => Some(Self::tiny()),
            "eighth" => Some(Self::eighth()),
            "paper" => Some(Self::paper()),
            _ => None,
        }
    }

    /// A named configuration, or a TOML file where the argument names one.
    pub fn load(name_or_path: &str) -> Result<Self, ArchError> {
        if let Some(config) = Self::named(name_or_path) {
            return Ok(config);
        }
        let path = Path::new(name_or_path);
        if !name_or_path.ends_with(".toml") && !path.exists() {
            return Err(ArchError::UnknownName { name: name_or_path.into() });
        }
        Self::from_toml(&toml_file::read(path, "an accelerator configuration")?, name_or_path)
    }

    /// Parses TOML text. Fields that it does not give come from `base` (default `paper`); buffers that it does not give
    /// are as large as its keys and width need.
    ///
    /// ```
    /// use spatten_arch::ArchConfig;
    /// let c = ArchConfig::from_toml("base = \"eighth\"\ntopk_lanes = 4", "mine.toml").unwrap();
    /// assert_eq!((c.multipliers, c.topk_lanes), (64, 4));
    /// let e = ArchConfig::from_toml("softmax_lanes = 3", "mine.toml").unwrap_err();
    /// assert!(e.to_string().contains("softmax_lanes = 3"));
    /// ```
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, ArchError> {
        let f: ArchFile = toml_file::parse(text, origin)?;
        let base_name = f.base.as_deref().unwrap_or("paper");
        let b = Self::named(base_name).ok_or_else(|| ArchError::UnknownName { name: base_name.into() })?;
        let stem = Path::new(origin).file_stem().map(|s| s.to_string_lossy().into_owned());
        let mut config = Self {
            name: f.name.or(stem).unwrap_or(b.name),
            datapath_bits: f.datapath_bits.unwrap_or(b.datapath_bits),
            multipliers: f.multipliers.unwrap_or(b.multipliers),
            keys_on_chip: f.keys_on_chip.unwrap_or(b.keys_on_chip),
            key_buffer_bytes: 0,
            value_buffer_bytes: 0,
            softmax_lanes: f.softmax_lanes.unwrap_or(b.softmax_lanes),
            topk_lanes: f.topk_lanes.unwrap_or(b.topk_lanes),
            channels: f.channels.unwrap_or(b.channels),
            channel_bytes: f.channel_bytes.unwrap_or(b.channel_bytes),
            words_in_flight: f.words_in_flight.unwrap_or(b.words_in_flight),
            clock_hz: f.clock_hz.unwrap_or(b.clock_hz),
        };
        // Buffers follow the keys and the width unless the file sizes them.
        config.key_buffer_bytes = f.key_buffer_bytes.unwrap_or(config.head_bytes());
        config.value_buffer_bytes = f.value_buffer_bytes.unwrap_or(config.head_bytes());
        config.check(origin)?;
        Ok(config)
    }

    /// Bytes that K (or V) of one head takes on chip at the largest head dimension.
    pub fn head_bytes(&self) -> usize {
        // Saturating: asked before the sizes that a file claims are checked.
        let elements = self.keys_on_chip.saturating_mul(HEAD_DIMS[HEAD_DIMS.len() - 1]);
        elements.saturating_mul(self.datapath_bits as usize) / 8
    }

    /// Refuses relations that cannot work, with the relation and both values.
    pub fn check(&self, origin: &str) -> Result<(), ArchError> {
        let require = |ok: bool, relation: &'static str, values: String| {
            if ok { Ok(()) } else { Err(ArchError::Relation { origin: origin.into(), relation, values }) }
        };
        let max_dim = HEAD_DIMS[HEAD_DIMS.len() - 1];
        let keys = self.keys_on_chip;
        require(
            (4..=16).contains(&self.datapath_bits),
            "4 <= datapath_bits <= 16 (a product has to fit the multiplier leaf)",
            format!("datapath_bits = {}", self.datapath_bits),
        )?;
        require(
            self.multipliers.is_power_of_two() && (16..=4096).contains(&self.multipliers),
            "multipliers is a power of two from 16 to 4096 (the adder tree halves)",
            format!("multipliers = {}", self.multipliers),
        )?;
        require(
            keys.is_power_of_two() && (16..=4096).contains(&keys),
            "keys_on_chip is a power of two from 16 to 4096 (index and sum widths)",
            format!("keys_on_chip = {keys}"),
        )?;
        for (lanes, relation, name) in [
            (self.softmax_lanes, "softmax_lanes is a power of two that divides keys_on_chip", "softmax_lanes"),
            (self.topk_lanes, "topk_lanes is a power of two that divides keys_on_chip", "topk_lanes"),
        ] {
            require(
                lanes.is_power_of_two() && lanes <= keys,
                relation,
                format!("{name} = {lanes}, keys_on_chip = {keys}"),
            )?;
        }
        let most_scores = (self.multipliers / HEAD_DIMS[0]).max(1);
        require(
            self.softmax_lanes <= most_scores,
            "softmax_lanes <= multipliers / 16 or 2 (more lanes than scores per cycle would idle)",
            format!("softmax_lanes = {}, multipliers = {}", self.softmax_lanes, self.multipliers),
        )
        .or_else(|e| if self.softmax_lanes <= 2 { Ok(()) } else { Err(e) })?;
        for (bytes, relation, name) in [
            (self.key_buffer_bytes, "key_buffer_bytes >= keys_on_chip * 128 * datapath_bits / 8", "key_buffer_bytes"),
            (
                self.value_buffer_bytes,
                "value_buffer_bytes >= keys_on_chip * 128 * datapath_bits / 8",
                "value_buffer_bytes",
            ),
        ] {
            require(
                bytes >= self.head_bytes() && bytes <= 1 << 30,
                relation,
                format!(
                    "{name} = {bytes}, {keys} keys * {max_dim} * {} bits / 8 = {}",
                    self.datapath_bits,
                    self.head_bytes()
                ),
            )?;
        }
        require(
            self.channels.is_power_of_two() && self.channels <= 64,
            "channels is a power of two from 1 to 64 (addresses interleave)",
            format!("channels = {}", self.channels),
        )?;
        require(
            self.channels <= keys,
            "channels <= keys_on_chip (a beat of scales, one per channel, has to fit a head)",
            format!("channels = {}, keys_on_chip = {keys}", self.channels),
        )?;
        require(
            self.channel_bytes.is_power_of_two() && (4..=128).contains(&self.channel_bytes),
            "channel_bytes is a power of two from 4 to 128 (an AXI data width)",
            format!("channel_bytes = {}", self.channel_bytes),
        )?;
        require(
            self.words_in_flight.is_power_of_two() && (4..=1024).contains(&self.words_in_flight),
            "words_in_flight is a power of two from 4 to 1024 (places of a memory)",
            format!("words_in_flight = {}", self.words_in_flight),
        )?;
        require(
            (1_000_000..=10_000_000_000).contains(&self.clock_hz),
            "1 MHz <= clock_hz <= 10 GHz",
            format!("clock_hz = {}", self.clock_hz),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_configurations_satisfy_their_own_relations() {
        for name in ArchConfig::NAMES {
            ArchConfig::named(name).unwrap().check(name).unwrap();
        }
    }

    #[test]
    fn paper_is_table_one() {
        let c = ArchConfig::paper();
        assert_eq!((c.multipliers, c.keys_on_chip, c.softmax_lanes, c.topk_lanes), (512, 1024, 8, 16));
        assert_eq!(c.channels as u64 * c.channel_bytes as u64 * c.clock_hz, 512_000_000_000);
        assert_eq!(c.head_bytes(), 196_608);
    }

    #[test]
    fn impossible_relations_name_both_values() {
        for (text, has) in [
            ("multipliers = 48", "multipliers = 48"),
            ("softmax_lanes = 3", "softmax_lanes = 3, keys_on_chip = 1024"),
            ("topk_lanes = 0", "topk_lanes = 0"),
            ("key_buffer_bytes = 1000", "key_buffer_bytes = 1000, 1024 keys * 128 * 12 bits / 8 = 196608"),
            ("value_buffer_bytes = 196607", "value_buffer_bytes = 196607"),
            ("datapath_bits = 17", "datapath_bits = 17"),
            ("keys_on_chip = 1000", "keys_on_chip = 1000"),
            ("keys_on_chip = 18446744073709551615", "keys_on_chip = 18446744073709551615"),
            ("channels = 3", "channels = 3"),
            ("channels = 32\nkeys_on_chip = 16", "channels = 32, keys_on_chip = 16"),
            ("channel_bytes = 256", "channel_bytes = 256"),
            ("words_in_flight = 48", "words_in_flight = 48"),
            ("clock_hz = 1", "clock_hz = 1"),
            ("softmax_lanes = 64", "softmax_lanes = 64, multipliers = 512"),
            ("colour = 3", "unknown field `colour`"),
            ("base = \"huge\"", "unknown configuration \"huge\""),
            ("channels = -1", "channels"),
        ] {
            let message = ArchConfig::from_toml(text, "x.toml").unwrap_err().to_string();
            assert!(message.contains(has) || message.contains("invalid value"), "{text}: {message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
