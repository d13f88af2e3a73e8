//! What a fetched job holds: the tag that comes back with its operands, and its place among a layer's addresses.
//! Paper: SpAtten Fig. 8 (from the fetcher to the SRAMs).

/// Contents of a plane. Numbers are what stands on wires.
///
/// Scales and norms are words of 32 bits, one per token: planes of one-bit elements, 32 of them per row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// Rows of K.
    Keys = 0,
    /// A scale per key.
    KeyScales = 1,
    /// Rows of V.
    Values = 2,
    /// A scale per value.
    ValueScales = 3,
    /// A norm per value.
    Norms = 4,
    /// Rows of Q.
    Queries = 5,
    /// A factor per query row.
    QueryScales = 6,
}

impl Content {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Keys, Self::KeyScales, Self::Values, Self::ValueScales, Self::Norms, Self::Queries, Self::QueryScales];

    /// Whether each row is a word.
    pub fn words(self) -> bool {
        !matches!(self, Self::Keys | Self::Values | Self::Queries)
    }

    /// Whether each query head has its own; the others belong to a head of keys and values.
    pub fn of_queries(self) -> bool {
        matches!(self, Self::Queries | Self::QueryScales)
    }
}

/// log2(D) - 4 of a plane of words.
pub const WORD_DIM: u32 = 1;
/// Bits of an element of a plane of words.
pub const WORD_BITS: u32 = 1;
