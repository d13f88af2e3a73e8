//! What a stream carries: beats of named fields.

use crate::cosim::Bits;
use crate::cosim::lanes::{mask, sign_extend};

/// One beat of a stream.
pub trait Beat {
    /// Its fields, always the same ones in the same order within a stream: for driving and for comparing.
    fn fields(&self) -> Vec<Field>;
}

/// One field of a beat: the value of one port.
#[derive(Debug, Clone)]
pub struct Field {
    pub(super) name: &'static str,
    pub(super) bits: Bits,
    pub(super) lane_width: u32,
    pub(super) decode: Option<fn(u64) -> String>,
}

impl Field {
    /// A value of any width, compared as a whole.
    pub fn bits(name: &'static str, bits: Bits) -> Self {
        let lane_width = bits.width();
        Self { name, bits, lane_width, decode: None }
    }

    /// An unsigned value.
    ///
    /// # Panics
    /// Where it does not fit.
    #[track_caller]
    pub fn value(name: &'static str, value: u64, width: u32) -> Self {
        Self::bits(name, Bits::new(value, width))
    }

    /// One bit.
    pub fn flag(name: &'static str, value: bool) -> Self {
        Self::value(name, value.into(), 1)
    }

    /// Packed lanes; a mismatch names the lane.
    ///
    /// # Panics
    /// Where one does not fit.
    #[track_caller]
    pub fn lanes(name: &'static str, lanes: &[u64], lane_width: u32) -> Self {
        Self { lane_width, ..Self::bits(name, Bits::from_lanes(lanes, lane_width)) }
    }

    /// Packed lanes in two's complement.
    ///
    /// # Panics
    /// Where one does not fit.
    #[track_caller]
    pub fn signed_lanes(name: &'static str, lanes: &[i64], lane_width: u32) -> Self {
        Self { lane_width, ..Self::bits(name, Bits::from_signed_lanes(lanes, lane_width)) }
    }

    /// How a lane reads in a mismatch report, from its bits: `"3.98046875"`.
    pub fn decode(mut self, decode: fn(u64) -> String) -> Self {
        self.decode = Some(decode);
        self
    }

    /// Its name, without that of the stream.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its value.
    pub fn value_bits(&self) -> &Bits {
        &self.bits
    }

    pub(super) fn lane_count(&self) -> usize {
        self.bits.width().checked_div(self.lane_width).unwrap_or(0) as usize
    }

    /// The first lane in which `other` differs (none where there is only one), with both values as text and the difference.
    pub(super) fn difference(&self, other: &Bits) -> (Option<usize>, [String; 2], String) {
        let width = self.lane_width;
        if width > 64 || self.bits.width() != other.width() {
            return (None, [other.to_string(), self.bits.to_string()], String::new());
        }
        let lane = (0..self.lane_count()).find(|&i| self.bits.lane(i, width) != other.lane(i, width)).unwrap_or(0);
        let [theirs, ours] = [other.lane(lane, width), self.bits.lane(lane, width)];
        let text = |value| match self.decode {
            Some(decode) => format!("{} = {}", Bits::new(value, width), decode(value)),
            None => Bits::new(value, width).to_string(),
        };
        let off = sign_extend(theirs.wrapping_sub(ours) & mask(width), width);
        ((self.lane_count() > 1).then_some(lane), [text(theirs), text(ours)], format!("diff {off} LSB"))
    }
}
