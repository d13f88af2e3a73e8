//! Card memory: words by channel and address, who has which of them, and the forms in which host and device lay things there.

use spatten_arch::ArchConfig;
use spatten_arch::layout::{CHUNK_ELEMENTS as CHUNK, GRANULE_BYTES, Layout, Linear, OutputLayout};
use spatten_golden::bitwidth_converter::{plane_bytes, unpack};
use std::collections::BTreeMap;

/// Memory of a card. Grows where the host takes more of it; what no one has taken is not there for the device either.
#[derive(Debug, Clone)]
pub struct CardMemory {
    word_bytes: usize,
    linear: Linear,
    /// By channel, word after word.
    channels: Vec<Vec<u8>>,
    /// Ranges that were given back: first word, words. No two touch.
    free: BTreeMap<u32, u32>,
}

impl CardMemory {
    /// Nothing is taken.
    pub fn new(config: &ArchConfig) -> Self {
        Self {
            word_bytes: config.channel_bytes,
            linear: Linear::new(config),
            channels: vec![vec![]; config.channels],
            free: BTreeMap::new(),
        }
    }

    /// Words of a channel.
    pub fn words(&self) -> u32 {
        (self.channels[0].len() / self.word_bytes) as u32
    }

    /// A word; `None` where there is no memory.
    #[inline]
    pub fn word(&self, channel: usize, address: u32) -> Option<&[u8]> {
        let from = address as usize * self.word_bytes;
        self.channels[channel].get(from..from + self.word_bytes)
    }

    /// Writes the bytes of a word whose bits of `strobe` are set; false where there is no memory.
    #[inline]
    pub fn write(&mut self, channel: usize, address: u32, word: &[u8], strobe: u128) -> bool {
        let from = address as usize * self.word_bytes;
        let Some(there) = self.channels[channel].get_mut(from..from + self.word_bytes) else { return false };
        for (i, (byte, &new)) in there.iter_mut().zip(word).enumerate() {
            if strobe >> i & 1 == 1 {
                *byte = new;
            }
        }
        true
    }

    /// Takes words of every channel, all 0, and says where they begin.
    ///
    /// # Panics   where addresses end
    #[track_caller]
    pub fn take(&mut self, words: u32) -> u32 {
        let found = self.free.iter().find(|(_, have)| **have >= words).map(|(&base, &have)| (base, have));
        let Some((base, have)) = found else {
            let base = self.words();
            let end = base.checked_add(words).expect("word addresses have 32 bits");
            for channel in &mut self.channels {
                channel.resize(end as usize * self.word_bytes, 0);
            }
            return base;
        };
        self.free.remove(&base);
        if have > words {
            self.free.insert(base + words, have - words);
        }
        self.clear(base, words);
        base
    }

    /// Takes words for a [`Linear`] block of so many bytes.
    pub fn take_bytes(&mut self, bytes: usize) -> u32 {
        self.take(self.linear.depth(bytes) as u32)
    }

    /// Gives words back.
    pub fn give_back(&mut self, mut base: u32, mut words: u32) {
        if words == 0 {
            return;
        }
        if let Some((&before, &have)) = self.free.range(..base).next_back()
            && before + have == base
        {
            self.free.remove(&before);
            (base, words) = (before, have + words);
        }
        if let Some(behind) = self.free.remove(&(base + words)) {
            words += behind;
        }
        self.free.insert(base, words);
    }

    /// Gives the words of a [`Linear`] block back.
    pub fn give_bytes_back(&mut self, base: u32, bytes: usize) {
        self.give_back(base, self.linear.depth(bytes) as u32);
    }

    /// Writes 0 to words of every channel.
    ///
    /// # Panics   where there is no memory
    #[track_caller]
    pub fn clear(&mut self, base: u32, words: u32) {
        let (from, bytes) = (base as usize * self.word_bytes, words as usize * self.word_bytes);
        for channel in &mut self.channels {
            channel[from..from + bytes].fill(0);
        }
    }

    /// Writes a [`Linear`] block.
    ///
    /// # Panics   where there is no memory
    #[track_caller]
    pub fn write_block(&mut self, base: u32, bytes: &[u8]) {
        for (number, part) in bytes.chunks(self.word_bytes).enumerate() {
            let (channel, word, _) = self.linear.place(number * self.word_bytes);
            self.bytes_mut(channel, base, word * self.word_bytes, part.len()).copy_from_slice(part);
        }
    }

    /// Reads bytes of a [`Linear`] block from byte `from` on.
    ///
    /// # Panics   where there is no memory
    #[track_caller]
    pub fn read_block(&self, base: u32, from: usize, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            let (channel, word, skip) = self.linear.place(from + bytes.len());
            let here = (self.word_bytes - skip).min(count - bytes.len());
            bytes.extend_from_slice(self.bytes(channel, base, word * self.word_bytes + skip, here));
        }
        bytes
    }

    /// Writes a row of a plane: `fields [D]`, or fewer and 0 behind them, of so many bits each.
    ///
    /// # Panics   where there is no memory, or a field has more bits
    #[track_caller]
    pub fn write_row(&mut self, base: u32, plane: &Plane, row: usize, fields: &[i32]) {
        let bytes = plane_bytes(CHUNK, plane.bits);
        for chunk in 0..plane.layout.chunks() {
            let from = (chunk * plane.row_chunk).min(fields.len());
            let part = &fields[from..(from + plane.row_chunk).min(fields.len())];
            let (channel, granule) = plane.layout.place(row, chunk);
            pack_chunk(part, plane.bits, self.bytes_mut(channel, base, granule * GRANULE_BYTES, bytes));
        }
    }

    /// Reads the fields of a row of a plane, `[D]`.
    ///
    /// # Panics   where there is no memory
    #[track_caller]
    pub fn read_row(&self, base: u32, plane: &Plane, row: usize, signed: bool) -> Vec<i32> {
        let of_chunk = |chunk| {
            let (channel, granule) = plane.layout.place(row, chunk);
            let bytes = self.bytes(channel, base, granule * GRANULE_BYTES, plane_bytes(CHUNK, plane.bits));
            (0..plane.row_chunk).map(move |i| unpack(bytes, i, plane.bits, signed))
        };
        (0..plane.layout.chunks()).flat_map(of_chunk).collect()
    }

    /// Writes the granule of a row: a scale or a norm.
    ///
    /// # Panics   where there is no memory
    #[track_caller]
    pub fn write_granule(&mut self, base: u32, granules: &Layout, row: usize, value: u32) {
        let (channel, granule) = granules.place(row, 0);
        self.bytes_mut(channel, base, granule * GRANULE_BYTES, GRANULE_BYTES).copy_from_slice(&value.to_le_bytes());
    }

    /// Reads the granule of a row.
    ///
    /// # Panics   where there is no memory
    #[track_caller]
    pub fn read_granule(&self, base: u32, granules: &Layout, row: usize) -> u32 {
        let (channel, granule) = granules.place(row, 0);
        let bytes = self.bytes(channel, base, granule * GRANULE_BYTES, GRANULE_BYTES);
        u32::from_le_bytes(bytes.try_into().expect("a granule has four bytes"))
    }

    /// Writes a row of outputs.
    ///
    /// # Panics   where there is no memory
    #[track_caller]
    pub fn write_outputs(&mut self, base: u32, plane: &OutputLayout, row: usize, outputs: &[i16]) {
        let bytes: Vec<u8> = outputs.iter().flat_map(|x| x.to_le_bytes()).collect();
        for (number, part) in bytes.chunks(self.word_bytes).enumerate() {
            let (channel, word) = plane.place(row, number);
            self.bytes_mut(channel, base, word * self.word_bytes, part.len()).copy_from_slice(part);
        }
    }

    /// Reads a row of outputs.
    ///
    /// # Panics   where there is no memory
    #[track_caller]
    pub fn read_outputs(&self, base: u32, plane: &OutputLayout, row: usize) -> Vec<i16> {
        let of_word = |number| {
            let (channel, word) = plane.place(row, number);
            let bytes = self.bytes(channel, base, word * self.word_bytes, plane.bytes_in(number));
            bytes.chunks_exact(2).map(|x| i16::from_le_bytes([x[0], x[1]]))
        };
        (0..plane.words()).flat_map(of_word).collect()
    }

    #[track_caller]
    fn bytes(&self, channel: usize, base: u32, from: usize, count: usize) -> &[u8] {
        let from = base as usize * self.word_bytes + from;
        &self.channels[channel][from..from + count]
    }

    #[track_caller]
    fn bytes_mut(&mut self, channel: usize, base: u32, from: usize, count: usize) -> &mut [u8] {
        let from = base as usize * self.word_bytes + from;
        &mut self.channels[channel][from..from + count]
    }
}

/// As `golden::bitwidth_converter::pack`, into memory; behind the last field there is 0.
#[track_caller]
fn pack_chunk(fields: &[i32], bits: u32, to: &mut [u8]) {
    let mask = (1u32 << bits) - 1;
    let (mut word, mut filled) = (0u64, 0);
    let mut granules = to.chunks_exact_mut(GRANULE_BYTES);
    for &field in fields {
        // Signed or unsigned: what lies above the field is its sign, or nothing.
        assert!(field >> bits == 0 || field >> (bits - 1) == -1, "{field} in a plane of {bits} bits");
        word |= u64::from(field as u32 & mask) << filled;
        filled += bits;
        if filled >= 32 {
            granules.next().expect("a granule per bit").copy_from_slice(&(word as u32).to_le_bytes());
            (word, filled) = (word >> 32, filled - 32);
        }
    }
    for granule in granules {
        granule.copy_from_slice(&(word as u32).to_le_bytes());
        word = 0;
    }
}

/// Form of a plane of rows of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plane {
    layout: Layout,
    bits: u32,
    /// Elements of a row in a chunk.
    row_chunk: usize,
}

impl Plane {
    /// Rows of `dim` elements (one of `HEAD_DIMS`) of `bits`.
    pub fn new(config: &ArchConfig, dim: usize, bits: u32) -> Self {
        Self { layout: Layout::new(config, dim, bits as usize), bits, row_chunk: dim.min(CHUNK) }
    }

    /// Words of a channel that `rows` rows take.
    pub fn words(&self, config: &ArchConfig, rows: usize) -> u32 {
        words(config, &self.layout, rows)
    }
}

/// Form of a plane of one granule per row.
pub fn granules(config: &ArchConfig) -> Layout {
    Layout::new(config, CHUNK, 1)
}

/// Words of a channel that `rows` rows of a plane take.
pub fn words(config: &ArchConfig, layout: &Layout, rows: usize) -> u32 {
    (layout.granules(rows) * GRANULE_BYTES).div_ceil(config.channel_bytes) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use spatten_arch::config::HEAD_DIMS;
    use spatten_golden::bitwidth_converter::pack;
    use spatten_testkit::{Checks, Rng};

    fn configs() -> impl Iterator<Item = ArchConfig> {
        let own = ArchConfig::from_toml("channels = 4\nchannel_bytes = 4", "own.toml").unwrap();
        ArchConfig::NAMES.iter().map(|name| ArchConfig::named(name).unwrap()).chain([own])
    }

    #[test]
    fn what_is_written_in_every_form_comes_back_and_nothing_else_changes() {
        let (mut checks, mut rng) = (Checks::new("card_memory_forms"), Rng::new(1));
        for config in configs() {
            for dim in HEAD_DIMS {
                for bits in [1, 5, 12] {
                    let mut memory = CardMemory::new(&config);
                    let rows = 2 * config.channels + 3;
                    let (plane, grains) = (Plane::new(&config, dim, bits), granules(&config));
                    let out = OutputLayout::new(&config, dim);
                    let bytes = 3 * config.channel_bytes * config.channels + 5;
                    let at = [
                        memory.take(plane.words(&config, rows)),
                        memory.take(words(&config, &grains, rows)),
                        memory.take(out.depth(rows) as u32),
                        memory.take_bytes(bytes),
                    ];
                    let mut number = |bits: u32| rng.below(1 << bits) as u32;
                    let fields: Vec<Vec<i32>> =
                        (0..rows).map(|_| (0..dim).map(|_| number(bits) as i32).collect()).collect();
                    let grain: Vec<u32> = (0..rows).map(|_| number(32)).collect();
                    let outputs: Vec<Vec<i16>> =
                        (0..rows).map(|_| (0..dim).map(|_| number(16) as i16).collect()).collect();
                    let block: Vec<u8> = (0..bytes).map(|_| number(8) as u8).collect();
                    for row in 0..rows {
                        memory.write_row(at[0], &plane, row, &fields[row]);
                        memory.write_granule(at[1], &grains, row, grain[row]);
                        memory.write_outputs(at[2], &out, row, &outputs[row]);
                    }
                    memory.write_block(at[3], &block);
                    for row in 0..rows {
                        let about = || format!("{} {dim} {bits} row {row}", config.name);
                        checks.eq(memory.read_row(at[0], &plane, row, false), fields[row].clone(), about);
                        checks.eq(memory.read_granule(at[1], &grains, row), grain[row], about);
                        checks.eq(memory.read_outputs(at[2], &out, row), outputs[row].clone(), about);
                    }
                    checks.eq(memory.read_block(at[3], 3, bytes - 3), block[3..].to_vec(), || "block".into());
                    let word = memory.word(0, at[3]).unwrap().to_vec();
                    checks.eq(word, block[..config.channel_bytes].to_vec(), || "word".into());
                    let end = memory.words();
                    checks.that(memory.word(0, end).is_none() && !memory.write(0, end, &[], 1), || "end".into());
                }
            }
        }
        checks.finish_any();
    }

    #[test]
    fn chunks_are_packed_as_golden_packs() {
        let (mut checks, mut rng) = (Checks::new("card_pack"), Rng::new(2));
        for bits in 1..=16 {
            for count in [0, 1, 5, 16, 31, 32] {
                let number =
                    |rng: &mut Rng| rng.below(1 << bits) as i32 - if rng.below(2) == 0 { 0 } else { 1 << (bits - 1) };
                let fields: Vec<i32> = (0..count).map(|_| number(&mut rng).min((1 << bits) - 1)).collect();
                let mut bytes = vec![0xff; GRANULE_BYTES * bits as usize];
                pack_chunk(&fields, bits, &mut bytes);
                let padded = fields.iter().copied().chain(std::iter::repeat_n(0, CHUNK - count));
                checks.eq(bytes, pack(padded, bits), || format!("{bits} bits, {count} fields"));
            }
        }
        checks.finish(16 * 6);
    }

    #[test]
    #[should_panic(expected = "-9 in a plane of 4 bits")]
    fn a_field_with_too_many_bits_is_refused() {
        pack_chunk(&[15, -8, -9], 4, &mut [0; 16]);
    }

    #[test]
    fn a_strobe_says_which_bytes_are_written() {
        let mut memory = CardMemory::new(&ArchConfig::from_toml("channels = 1\nchannel_bytes = 4", "own").unwrap());
        let base = memory.take(2);
        assert!(memory.write(0, base + 1, &[1, 2, 3, 4], 0b1010));
        assert_eq!(
            (memory.word(0, base).unwrap(), memory.word(0, base + 1).unwrap()),
            (&[0; 4][..], &[0, 2, 0, 4][..])
        );
    }

    proptest! {
        #[test]
        fn ranges_never_overlap_and_what_is_given_back_is_found_again(
            steps in prop::collection::vec((0u32..9, any::<prop::sample::Index>(), any::<bool>()), 1..60)
        ) {
            let config = ArchConfig::tiny();
            let mut memory = CardMemory::new(&config);
            let mut taken: Vec<(u32, u32)> = vec![];
            for (words, which, give) in steps {
                if give && !taken.is_empty() {
                    let (base, words) = taken.swap_remove(which.index(taken.len()));
                    memory.give_back(base, words);
                } else {
                    let base = memory.take(words);
                    for (other, more) in &taken {
                        prop_assert!(base + words <= *other || other + more <= base || words == 0 || *more == 0);
                    }
                    for word in base..base + words {
                        prop_assert_eq!(memory.word(0, word).unwrap(), &[0; 32][..]);
                        memory.write(0, word, &[0xff; 32], u128::MAX);
                    }
                    taken.push((base, words));
                }
            }
            let all = memory.words();
            for (base, words) in taken {
                memory.give_back(base, words);
            }
            if all > 0 {
                prop_assert_eq!(memory.take(all), 0);
                prop_assert_eq!(memory.words(), all);
            }
        }
    }
}
