//! Where a plane of packed elements lies in card memory: what the host writes, the fetcher addresses and models read.
//! Paper: SpAtten section IV-D (K and V interleaved over the channels).

use crate::ArchConfig;
use crate::config::MAX_HEADS;
use crate::format::OUTPUT_BITS;

/// Elements of a *chunk*: what one lane turns into operands per cycle. A chunk of n bits is n *granules* of 32 bits, so that
/// all shifting is by granules whatever n is.
pub const CHUNK_ELEMENTS: usize = 32;

/// Bytes of a granule: one bit of each element of a chunk.
pub const GRANULE_BYTES: usize = CHUNK_ELEMENTS / 8;

/// Bits of a token's number in memory: contexts are up to 65,536 tokens long, of which `keys_on_chip` survive at a time.
pub const TOKEN_BITS: usize = 16;

/// Bits of a word address within a channel.
pub const ADDRESS_BITS: usize = 32;

/// Bits of a row's number in an output plane: a row per token and head.
pub const OUTPUT_ROW_BITS: usize = TOKEN_BITS + MAX_HEADS.ilog2() as usize;

/// A plane of rows of `dim` elements of `bits`, row by row.
///
/// A row is `chunks()` chunks; at `dim` 16 the second half of its chunk is padding. Chunks are dealt to the channels in turn
/// and lie back to back there, least significant bit first. So rows that follow each other are fetched without a lost byte
/// at every width, and a single row at the cost of whole words.
///
/// ```
/// use spatten_arch::{ArchConfig, layout::Layout};
/// // 64 elements of 12 bits: two chunks of 48 bytes, on neighbouring channels.
/// let layout = Layout::new(&ArchConfig::paper(), 64, 12);
/// assert_eq!(layout.place(9, 0), (2, 12));
/// assert_eq!(layout.place(9, 1), (3, 12));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    channels: usize,
    chunks: usize,
    bits: usize,
}

impl Layout {
    /// Rows of `dim` elements (one of `HEAD_DIMS`) of `bits`.
    pub fn new(config: &ArchConfig, dim: usize, bits: usize) -> Self {
        Self { channels: config.channels, chunks: (dim / CHUNK_ELEMENTS).max(1), bits }
    }

    /// Chunks of a row.
    pub fn chunks(&self) -> usize {
        self.chunks
    }

    /// Channel of a chunk of a row, and the granule at which it begins there, counted from the plane's base.
    pub fn place(&self, row: usize, chunk: usize) -> (usize, usize) {
        let number = row * self.chunks + chunk;
        (number % self.channels, number / self.channels * self.bits)
    }

    /// Granules that `rows` rows take on a channel, the longest of them.
    pub fn granules(&self, rows: usize) -> usize {
        (rows * self.chunks).div_ceil(self.channels) * self.bits
    }
}

/// A plane of rows of `dim` outputs of 16 bits, row by row: what `write_back` writes and the host reads.
///
/// A *word* is what a channel moves in a cycle (`channel_bytes`). A row is `words()` whole words, so that no two rows share
/// one; where a row is shorter than a word, the rest of the word is not written. Words are numbered along the rows and dealt
/// to the channels in turn: word n lies on channel n mod channels, n / channels words behind the plane's base. So rows that
/// follow each other keep every channel busy, and a plane on the host is the channels' words one from each in turn.
///
/// ```
/// use spatten_arch::{ArchConfig, layout::OutputLayout};
/// // 64 outputs of 2 bytes are 4 words of 32: rows 0 to 3 take all 16 channels once.
/// let layout = OutputLayout::new(&ArchConfig::paper(), 64);
/// assert_eq!(layout.words(), 4);
/// assert_eq!(layout.place(9, 0), (4, 2));
/// assert_eq!(layout.place(9, 3), (7, 2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLayout {
    channels: usize,
    words: usize,
    word_bytes: usize,
    row_bytes: usize,
}

impl OutputLayout {
    /// Rows of `dim` outputs (one of `HEAD_DIMS`).
    pub fn new(config: &ArchConfig, dim: usize) -> Self {
        let row_bytes = dim * OUTPUT_BITS as usize / 8;
        let word_bytes = config.channel_bytes;
        Self { channels: config.channels, words: row_bytes.div_ceil(word_bytes), word_bytes, row_bytes }
    }

    /// Words of a row.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Channel of a word of a row, and its address there, counted in words from the plane's base.
    pub fn place(&self, row: usize, word: usize) -> (usize, usize) {
        let number = row * self.words + word;
        (number % self.channels, number / self.channels)
    }

    /// Bytes of a row that its word number `word` holds.
    pub fn bytes_in(&self, word: usize) -> usize {
        (self.row_bytes - word * self.word_bytes).min(self.word_bytes)
    }

    /// Words that `rows` rows take on a channel, the longest of them.
    pub fn depth(&self, rows: usize) -> usize {
        (rows * self.words).div_ceil(self.channels)
    }
}

/// A block of bytes as host and device read it: word n (of `channel_bytes`) lies on channel n mod channels, n / channels words
/// behind the block's word address. Parameters, lists, states and copies lie so; an [`OutputLayout`] at which rows fill
/// whole words is one too.
///
/// ```
/// use spatten_arch::{ArchConfig, layout::Linear};
/// let block = Linear::new(&ArchConfig::eighth());
/// assert_eq!(block.place(100), (1, 1, 4));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    channels: usize,
    word_bytes: usize,
}

impl Linear {
    /// In a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        Self { channels: config.channels, word_bytes: config.channel_bytes }
    }

    /// Channel, word behind the block's address, and byte in the word.
    pub fn place(&self, byte: usize) -> (usize, usize, usize) {
        let number = byte / self.word_bytes;
        (number % self.channels, number / self.channels, byte % self.word_bytes)
    }

    /// Words of a channel that a block takes.
    pub fn depth(&self, bytes: usize) -> usize {
        bytes.div_ceil(self.word_bytes * self.channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HEAD_DIMS;
    use std::collections::BTreeSet;

    #[test]
    fn chunks_fill_the_channels_without_gap_or_overlap() {
        for config in ArchConfig::NAMES.map(|name| ArchConfig::named(name).unwrap()) {
            for dim in HEAD_DIMS {
                for bits in [1, 4, 7, 12] {
                    let layout = Layout::new(&config, dim, bits);
                    let mut used = BTreeSet::new();
                    for row in 0..2 * config.channels {
                        for chunk in 0..layout.chunks() {
                            let (channel, granule) = layout.place(row, chunk);
                            for i in 0..bits {
                                assert!(used.insert((channel, granule + i)), "{dim} {bits} {row} {chunk}");
                            }
                        }
                    }
                    let most = layout.granules(2 * config.channels);
                    let all = (0..config.channels).flat_map(|c| (0..most).map(move |g| (c, g)));
                    assert!(used.into_iter().eq(all), "{dim} {bits}");
                }
            }
        }
    }

    #[test]
    fn output_rows_fill_the_channels_without_gap_or_overlap() {
        let own = |text: &str| ArchConfig::from_toml(text, "own.toml").unwrap();
        let named = ArchConfig::NAMES.map(|name| ArchConfig::named(name).unwrap());
        // Words longer than a short row, and words of four bytes.
        let others = [own("channels = 4\nchannel_bytes = 128"), own("channels = 2\nchannel_bytes = 4")];
        for config in named.iter().chain(&others) {
            for dim in HEAD_DIMS {
                let layout = OutputLayout::new(config, dim);
                let (mut used, rows) = (BTreeSet::new(), 2 * config.channels);
                for row in 0..rows {
                    let bytes: usize = (0..layout.words()).map(|word| layout.bytes_in(word)).sum();
                    assert_eq!(bytes, 2 * dim, "{} {dim}", config.name);
                    for word in 0..layout.words() {
                        assert!(used.insert(layout.place(row, word)), "{} {dim} {row} {word}", config.name);
                    }
                }
                let depth = layout.depth(rows);
                let all = (0..config.channels).flat_map(|c| (0..depth).map(move |address| (c, address)));
                assert!(used.into_iter().eq(all), "{} {dim}", config.name);
            }
        }
    }

    #[test]
    fn blocks_of_bytes_fill_the_channels_and_agree_with_rows() {
        for config in ArchConfig::NAMES.map(|name| ArchConfig::named(name).unwrap()) {
            let (linear, rows) = (Linear::new(&config), OutputLayout::new(&config, 128));
            let bytes = 3 * config.channels * config.channel_bytes + 5;
            let used: BTreeSet<_> = (0..bytes).map(|byte| linear.place(byte)).collect();
            assert_eq!(used.len(), bytes);
            assert_eq!(used.iter().map(|(_, word, _)| word + 1).max(), Some(linear.depth(bytes)));
            for (row, word) in (0..9).flat_map(|row| (0..rows.words()).map(move |word| (row, word))) {
                let (channel, address, _) = linear.place(row * 256 + word * config.channel_bytes);
                assert_eq!((channel, address), rows.place(row, word), "{}", config.name);
            }
        }
    }
}
