//! What the operands of a fetched plane are: the tag of a job of `fetch_path`, by which `operand_router` sends its beats on.

/// Bits of a tag.
pub const TAG_BITS: usize = 4;

/// What a job fetches. Numbers are what stands on wires.
///
/// A granule is 32 bits that belong to one row; it is fetched as 32 elements of one bit each, which arrive as the top bits of
/// as many operands, its bit 0 first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// Rows of K.
    Keys = 0,
    /// A granule per key: its scale (`format::TOKEN_SCALE_BITS`).
    KeyScales = 1,
    /// Rows of V.
    Values = 2,
    /// A granule per value: its scale.
    ValueScales = 3,
    /// A granule per value: its norm (`format::VALUE_NORM_BITS`).
    Norms = 4,
    /// Rows of Q.
    Queries = 5,
    /// A granule per query row: its score scale (`descriptor::HeadFactors::pack`).
    QueryScales = 6,
    /// LSBs of K, for the keys that are there.
    KeyLsbs = 7,
    /// LSBs of V, for the values that are there.
    ValueLsbs = 8,
    /// LSBs of rows of Q, before each row's MSBs.
    QueryLsbs = 9,
}

/// log2(elements of a row) - 4 of a plane of granules.
pub const GRANULE_DIM: u32 = 1;
/// Bits of its elements.
pub const GRANULE_BITS: u32 = 1;

impl Content {
    /// All of them, each at its number.
    pub const ALL: [Self; 10] = [
        Self::Keys,
        Self::KeyScales,
        Self::Values,
        Self::ValueScales,
        Self::Norms,
        Self::Queries,
        Self::QueryScales,
        Self::KeyLsbs,
        Self::ValueLsbs,
        Self::QueryLsbs,
    ];

    /// The number on wires.
    pub const fn tag(self) -> u8 {
        self as u8
    }

    /// Whether a row of it is one granule.
    pub const fn granules(self) -> bool {
        matches!(self, Self::KeyScales | Self::ValueScales | Self::Norms | Self::QueryScales)
    }

    /// Whether every query head has its own; the others belong to a head of keys and values.
    pub const fn of_queries(self) -> bool {
        matches!(self, Self::Queries | Self::QueryScales | Self::QueryLsbs)
    }

    /// What a number stands for.
    ///
    /// ```
    /// use spatten_arch::content::Content;
    /// assert_eq!(Content::of(5), Some(Content::Queries));
    /// assert_eq!(Content::of(10), None);
    /// ```
    pub fn of(tag: u8) -> Option<Self> {
        Self::ALL.get(usize::from(tag)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_content_is_at_its_number_and_fits_a_tag() {
        for (i, content) in Content::ALL.into_iter().enumerate() {
            assert_eq!((usize::from(content.tag()), i >> TAG_BITS), (i, 0), "{content:?}");
        }
    }
}
