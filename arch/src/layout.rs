//! Where a plane of packed elements lies in card memory: what the host writes, the fetcher addresses and models read.
//! Paper: SpAtten section IV-D (K and V interleaved over the channels).

use crate::ArchConfig;

/// Elements of a *chunk*: what one lane turns into operands per cycle. A chunk of n bits is n *granules* of 32 bits, so that
/// all shifting is by granules whatever n is.
pub const CHUNK_ELEMENTS: usize = 32;

/// Bytes of a granule: one bit of each element of a chunk.
pub const GRANULE_BYTES: usize = CHUNK_ELEMENTS / 8;

/// Bits of a token's number in memory: contexts are up to 65,536 tokens long, of which `keys_on_chip` survive at a time.
pub const TOKEN_BITS: usize = 16;

/// Bits of a word address within a channel.
pub const ADDRESS_BITS: usize = 32;

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
}
