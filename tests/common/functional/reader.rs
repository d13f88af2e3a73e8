//! Things in card memory, found by `arch::layout` and read as a chip reads them: word by word.

use super::Refusal;
use spatten::card::CardMemory;
use spatten_arch::ArchConfig;
use spatten_arch::descriptor::{self, Status};
use spatten_arch::element::Element;
use spatten_arch::layout::{CHUNK_ELEMENTS, GRANULE_BYTES, Layout, Linear, OutputLayout};
use spatten_arch::plan;
use spatten_golden::bitwidth_converter::{operand, unpack};

/// One head's planes of a tensor: word addresses and bits of MSBs and LSBs.
#[derive(Debug, Clone, Copy)]
pub struct Planes {
    pub msb: (u32, u8),
    pub lsb: (u32, u8),
    pub split: descriptor::Split,
}

/// A row as operands: what its MSBs say, and all of it.
#[derive(Debug, Clone)]
pub struct Row {
    first: Vec<i16>,
    full: Vec<i16>,
}

impl Row {
    pub fn operands(&self, all: bool) -> &[i16] {
        if all { &self.full } else { &self.first }
    }
}

/// Memory with the eyes of a device.
pub struct Reader<'a> {
    pub config: &'a ArchConfig,
    pub memory: &'a CardMemory,
}

impl Reader<'_> {
    /// Bytes of a channel from byte `from` behind a word address on.
    fn bytes(&self, channel: usize, base: u32, from: usize, count: usize) -> Result<Vec<u8>, Refusal> {
        let size = self.config.channel_bytes;
        let byte = |at: usize| {
            let word = self.memory.word(channel, base.wrapping_add((at / size) as u32));
            word.map(|word| word[at % size]).ok_or((Status::MemoryError, channel as u32))
        };
        (from..from + count).map(byte).collect()
    }

    pub fn block(&self, base: u32, count: usize) -> Result<Vec<u8>, Refusal> {
        let linear = Linear::new(self.config);
        let byte = |at: usize| {
            let (channel, word, byte) = linear.place(at);
            Ok(self.bytes(channel, base, word * self.config.channel_bytes + byte, 1)?[0])
        };
        (0..count).map(byte).collect()
    }

    pub fn granule(&self, base: u32, row: usize) -> Result<u32, Refusal> {
        let (channel, granule) = Layout::new(self.config, CHUNK_ELEMENTS, 1).place(row, 0);
        let bytes = self.bytes(channel, base, granule * GRANULE_BYTES, GRANULE_BYTES)?;
        Ok(u32::from_le_bytes(bytes.try_into().unwrap()))
    }

    fn fields(&self, (base, bits): (u32, u8), dim: usize, row: usize, signed: bool) -> Result<Vec<i32>, Refusal> {
        let layout = Layout::new(self.config, dim, bits.into());
        let mut fields = vec![];
        for chunk in 0..layout.chunks() {
            let (channel, granule) = layout.place(row, chunk);
            let bytes = self.bytes(channel, base, granule * GRANULE_BYTES, usize::from(bits) * GRANULE_BYTES)?;
            fields.extend((0..CHUNK_ELEMENTS).map(|i| unpack(&bytes, i, bits.into(), signed)));
        }
        fields.truncate(dim);
        Ok(fields)
    }

    pub fn row(&self, planes: &Planes, dim: usize, row: usize) -> Result<Row, Refusal> {
        let (m, l) = (u32::from(planes.msb.1), u32::from(planes.lsb.1));
        let split: plan::Split = planes.split.into();
        let datapath = self.config.datapath_bits;
        let (upper, lower) = (Element::msb(m, l, split), Element::lsb(m, l, split));
        let msb = self.fields(planes.msb, dim, row, upper.signed())?;
        let first: Vec<i16> = msb.iter().map(|&field| operand(upper, field, datapath) as i16).collect();
        if l == 0 {
            return Ok(Row { full: first.clone(), first });
        }
        let lsb = self.fields(planes.lsb, dim, row, lower.signed())?;
        let full = first.iter().zip(&lsb).map(|(&x, &field)| x + operand(lower, field, datapath) as i16).collect();
        Ok(Row { first, full })
    }
}

/// Writes bytes of a channel's words, each by its strobe.
fn write_word(memory: &mut CardMemory, channel: usize, address: u32, skip: usize, part: &[u8]) -> Result<(), Refusal> {
    let word: Vec<u8> = std::iter::repeat_n(0, skip).chain(part.iter().copied()).collect();
    let strobe = u128::MAX >> (128 - part.len()) << skip;
    match memory.write(channel, address, &word, strobe) {
        true => Ok(()),
        false => Err((Status::MemoryError, channel as u32)),
    }
}

/// Writes a block; `from` begins a word.
pub fn write_block(
    config: &ArchConfig,
    memory: &mut CardMemory,
    base: u32,
    from: usize,
    bytes: &[u8],
) -> Result<(), Refusal> {
    let linear = Linear::new(config);
    for (i, part) in bytes.chunks(config.channel_bytes).enumerate() {
        let (channel, word, skip) = linear.place(from + i * config.channel_bytes);
        write_word(memory, channel, base.wrapping_add(word as u32), skip, part)?;
    }
    Ok(())
}

/// Writes a row of outputs.
pub fn write_outputs(
    config: &ArchConfig,
    memory: &mut CardMemory,
    base: u32,
    row: usize,
    outputs: &[i32],
) -> Result<(), Refusal> {
    let layout = OutputLayout::new(config, outputs.len());
    let bytes: Vec<u8> = outputs.iter().flat_map(|&x| (x as i16).to_le_bytes()).collect();
    for (number, part) in bytes.chunks(config.channel_bytes).enumerate() {
        let (channel, word) = layout.place(row, number);
        write_word(memory, channel, base.wrapping_add(word as u32), 0, part)?;
    }
    Ok(())
}
