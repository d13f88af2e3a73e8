//! Double-buffered V SRAM, in time. Siblings: `hw`, `tests/value_buffer.rs`.

use crate::cosim::{Beat, Field, bits_for};
use crate::cycle::{CreditPipe, CycleModel};
use crate::halves::{Events, Halves};
use crate::key_buffer::{self, Size, add};
use spatten_arch::format::{PROBABILITY_FRACTION, TOKEN_SCALE_BITS, TOKEN_SCALE_FRACTION};

fn lanes<T: Copy + Into<u64>>(name: &'static str, lanes: &[T], bits: u32) -> Field {
    Field::lanes(name, &lanes.iter().map(|&lane| lane.into()).collect::<Vec<u64>>(), bits)
}

/// Rows of a head, each with a weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Rows; those from `count` on mean nothing.
    pub rows: Box<[u16]>,
    /// Width of a row index.
    pub row_bits: u32,
    /// Their weights.
    pub weights: Box<[u16]>,
    /// How many.
    pub count: u32,
    /// The last ones of a sum.
    pub last: bool,
    /// The last ones of the head.
    pub release: bool,
    /// The last ones before the head is added to.
    pub again: bool,
}

impl Request {
    /// Of these rows, to a buffer of this size.
    pub fn new(size: &Size, rows: &[(u16, u16)], last: bool, release: bool) -> Self {
        let lane = |i: usize| rows.get(i).copied().unwrap_or_default();
        Self {
            rows: (0..size.lanes).map(|i| lane(i).0).collect(),
            row_bits: bits_for(size.keys - 1),
            weights: (0..size.lanes).map(|i| lane(i).1).collect(),
            count: rows.len() as u32,
            last,
            release,
            again: false,
        }
    }

    /// The same, and the head is added to before it is read again.
    pub fn again(self) -> Self {
        Self { again: true, ..self }
    }
}

/// A beat of `write`, `scale`, `read` or `add`.
#[derive(Debug, Clone)]
pub enum Input {
    /// Operands of `bits`.
    Write {
        /// Two's complement in the low bits.
        lanes: Box<[u16]>,
        /// Width of an operand.
        bits: u32,
        /// The head's last beat.
        last: bool,
    },
    /// Scales of the rows of a word.
    Scale {
        /// The scales.
        lanes: Box<[u32]>,
        /// The head's last ones.
        last: bool,
    },
    /// A request.
    Read(Request),
    /// LSBs of `bits`.
    Add {
        /// Two's complement in the low bits.
        lanes: Box<[u16]>,
        /// Width of an operand.
        bits: u32,
        /// The head's last beat.
        last: bool,
    },
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Write { lanes: data, bits, last } | Self::Add { lanes: data, bits, last } => {
                vec![lanes("data", data, *bits), Field::flag("last", *last)]
            }
            Self::Scale { lanes: data, last } => {
                vec![lanes("data", data, TOKEN_SCALE_BITS), Field::flag("last", *last)]
            }
            Self::Read(request) => vec![
                lanes("row", &request.rows, request.row_bits),
                lanes("weight", &request.weights, PROBABILITY_FRACTION + 1),
                Field::value("count", request.count.into(), bits_for(request.rows.len())),
                Field::flag("last", request.last),
                Field::flag("release", request.release),
                Field::flag("again", request.again),
            ],
        }
    }
}

/// A word with a row, or nothing, in each place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// Two's complement in the low bits.
    pub lanes: Box<[u16]>,
    /// Width of an operand.
    pub bits: u32,
    /// Weight of the row in each place.
    pub weights: Box<[u16]>,
    /// Its scale.
    pub scales: Box<[u32]>,
    /// Which word of the row.
    pub part: u32,
    /// The sum's last beat.
    pub last: bool,
}

impl Beat for Rows {
    fn fields(&self) -> Vec<Field> {
        let banks = self.weights.len();
        let operands: Vec<u64> = self.lanes.iter().map(|&lane| lane.into()).collect();
        debug_assert_eq!(operands.len(), 16 * banks);
        vec![
            Field::lanes("data", &operands, self.bits),
            lanes("weight", &self.weights, PROBABILITY_FRACTION + 1),
            lanes("scale", &self.scales, TOKEN_SCALE_BITS),
            Field::value("part", self.part.into(), 3),
            Field::flag("last", self.last),
        ]
    }
}

/// What becomes of the head behind a beat: it is released, or added to.
type After = [bool; 2];

/// When beats move, for requests whose rows are all of one word, so that no two share a place. `T` is whatever belongs to the
/// last beat of a request.
///
/// # Timing   as [`ValueBuffer`]
#[derive(Debug, Clone)]
pub struct Timing<T> {
    /// Words of a row.
    parts: usize,
    halves: Halves,
    next: Option<key_buffer::Request<T>>,
    serving: Option<key_buffer::Request<T>>,
    part: usize,
    draining: bool,
    freeing: [After; 3],
    out: CreditPipe<Option<T>>,
}

impl<T> Timing<T> {
    /// An empty buffer; `dim` is log2(D) - 4.
    pub fn new(size: &Size, dim: u32, scaled: bool) -> Self {
        Self {
            parts: ((16 << dim) / size.word).max(1),
            halves: Halves::new(dim == 3, scaled),
            next: None,
            serving: None,
            part: 0,
            draining: false,
            freeing: Default::default(),
            out: CreditPipe::new(6, 8),
        }
    }

    /// Who may use which half.
    pub fn halves(&self) -> &Halves {
        &self.halves
    }

    fn done(&self) -> bool {
        self.serving.is_some() && self.out.ready() && self.part + 1 == self.parts
    }

    /// Whether a request is accepted.
    pub fn ready(&self) -> bool {
        let open = self.halves.read_half().is_some() && !self.draining;
        open && (self.next.is_none() || self.serving.is_none() || self.done())
    }

    /// The beat that is offered: the last one of its request, or another.
    pub fn front(&self) -> Option<&Option<T>> {
        self.out.front()
    }

    /// One rising edge: the ends of what is written, whether a beat is added and is the last one, the accepted request,
    /// whether the beat was taken.
    pub fn clock(
        &mut self,
        [data_ends, scale_ends]: [bool; 2],
        add: Option<bool>,
        request: Option<key_buffer::Request<T>>,
        taken: bool,
    ) -> Option<Option<T>> {
        let done = self.done();
        let mut beat = None;
        let mut after = After::default();
        if done {
            self.part = 0;
            if let Some(request) = self.serving.take() {
                beat = Some(request.answer);
                after = [request.release, request.again];
            }
        } else if self.serving.is_some() && self.out.ready() {
            self.part += 1;
            beat = Some(None);
        }
        let [freed, again] = self.freeing[2];
        self.freeing = [after, self.freeing[0], self.freeing[1]];
        if self.serving.is_none() {
            self.serving = self.next.take();
        }
        self.draining &= !(freed || again);
        if let Some(key_buffer::Request { release, again, .. }) = &request {
            self.draining |= *release || *again;
            self.next = request;
        }
        self.halves.clock(Events { data_ends, scale_ends, freed, again, add });
        self.out.exchange(beat, taken)
    }
}

#[derive(Debug, Clone)]
struct Serving {
    request: Request,
    /// Lanes that have not gone yet.
    pending: u64,
    part: u32,
}

/// Inputs 0 `write`, 1 `scale`, 2 `read`, 3 `add`; output 0 `out`.
///
/// # Timing   a request waits one cycle, is served in as many as its fullest place has rows (times the words of a row), and
/// each beat is on the output 6 cycles after (8 places)
#[derive(Debug, Clone)]
pub struct ValueBuffer {
    size: Size,
    whole: bool,
    scaled: bool,
    dimension: usize,
    /// Rows of a word, and words of a row.
    rows: usize,
    parts: usize,
    halves: Halves,
    write_at: usize,
    scale_at: usize,
    add_at: usize,
    operands: Vec<u16>,
    scales: Vec<u32>,
    next: Option<Request>,
    serving: Option<Serving>,
    /// After the head's last request is accepted; then, when its last beat is read.
    draining: bool,
    freeing: [After; 3],
    out: CreditPipe<Rows>,
}

impl ValueBuffer {
    /// An empty buffer; `dim` is log2(D) - 4.
    ///
    /// # Panics
    /// Of 64 or more lanes of 16 operands: the lanes that wait are one word.
    pub fn new(size: Size, dim: u32, scaled: bool) -> Self {
        assert!(size.lanes < 64, "{size:?}: fewer than 64 lanes");
        let dimension = 16usize << dim;
        Self {
            size,
            whole: dim == 3,
            scaled,
            dimension,
            rows: (size.word / dimension).max(1),
            parts: (dimension / size.word).max(1),
            halves: Halves::new(dim == 3, scaled),
            write_at: 0,
            scale_at: 0,
            add_at: 0,
            operands: vec![0; size.operands],
            scales: vec![0; size.operands / size.word * size.lanes],
            next: None,
            serving: None,
            draining: false,
            freeing: Default::default(),
            out: CreditPipe::new(6, 8),
        }
    }

    /// Bit i: half i may be read.
    pub fn full(&self) -> u64 {
        self.halves.full()
    }

    fn base(&self, half: usize) -> usize {
        if self.whole { 0 } else { half * self.size.operands / 2 }
    }

    /// The request's beat of this cycle: lanes that go, and those that wait for the same places.
    fn pass(&self) -> Option<(u64, u64)> {
        let serving = self.serving.as_ref().filter(|_| self.out.ready())?;
        let (mut places, mut go) = (0u64, 0u64);
        for (lane, row) in serving.request.rows.iter().enumerate() {
            let place = 1 << (usize::from(*row) % self.rows);
            if serving.pending >> lane & 1 == 1 && places & place == 0 {
                places |= place;
                go |= 1 << lane;
            }
        }
        Some((go, serving.pending & !go))
    }

    fn done(&self) -> bool {
        let final_part = self.serving.as_ref().is_some_and(|s| s.part as usize + 1 == self.parts);
        final_part && self.pass().is_some_and(|(_, waiting)| waiting == 0)
    }

    fn beat(&self, serving: &Serving, go: u64, last: bool) -> Rows {
        let Size { bits, word, lanes, .. } = self.size;
        let base = self.base(self.halves.read_half().expect("a request is served while its half is full"));
        // Places without a row show the head's first word.
        let mut data: Box<[u16]> = self.operands[base..base + word].into();
        let mut weights = vec![0; lanes].into_boxed_slice();
        let mut scales = vec![1 << TOKEN_SCALE_FRACTION; lanes].into_boxed_slice();
        let scale_of = |word_index: usize| &self.scales[(base / word + word_index) * lanes..][..lanes];
        if self.scaled {
            scales.copy_from_slice(scale_of(0));
        }
        for lane in (0..lanes).filter(|lane| go >> lane & 1 == 1) {
            let row = usize::from(serving.request.rows[lane]);
            let place = row % self.rows;
            let length = self.dimension.min(word);
            let from = base + row * self.dimension + serving.part as usize * word;
            data[place * length..(place + 1) * length].copy_from_slice(&self.operands[from..from + length]);
            weights[place] = serving.request.weights[lane];
            if self.scaled {
                scales[place] = scale_of(row / self.rows)[place];
            }
        }
        Rows { lanes: data, bits, weights, scales, part: serving.part, last }
    }
}

impl CycleModel for ValueBuffer {
    type Input = Input;
    type Output = Rows;

    fn ready(&self, port: usize) -> bool {
        match port {
            0 => self.halves.data_open(),
            1 => self.halves.scale_open(),
            3 => self.halves.add_open(),
            _ => {
                let open = self.halves.read_half().is_some() && !self.draining;
                open && (self.next.is_none() || self.serving.is_none() || self.done())
            }
        }
    }

    fn output(&self, _port: usize) -> Option<&Rows> {
        self.out.front()
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let (done, pass) = (self.done(), self.pass());
        let beat = pass.and_then(|(go, _)| {
            let serving = self.serving.as_ref()?;
            Some(self.beat(serving, go, done && serving.request.last))
        });
        self.out.clock(beat, taken[0]);
        let ended = self.serving.as_ref().filter(|_| done);
        let after = ended.map_or(After::default(), |s| [s.request.release, s.request.again]);
        let [freed, again] = self.freeing[2];
        self.freeing = [after, self.freeing[0], self.freeing[1]];
        if let (Some(serving), Some((_, waiting))) = (&mut self.serving, pass) {
            serving.part += 1;
            if serving.part as usize == self.parts {
                (serving.part, serving.pending) = (0, waiting);
            }
        }
        if done {
            self.serving = None;
        }
        if self.serving.is_none() {
            self.serving = self.next.take().map(|request| {
                let pending = (1u64 << request.count) - 1;
                Serving { request, pending, part: 0 }
            });
        }
        self.draining &= !(freed || again);
        if let Some(Input::Read(request)) = accepted[2].take() {
            self.draining |= request.release || request.again;
            self.next = Some(request);
        }
        let (mut data_ends, mut scale_ends) = (false, false);
        let base = self.base(self.halves.write_half());
        let length = if self.whole { self.size.operands } else { self.size.operands / 2 };
        if let Some(Input::Write { lanes, last, .. }) = accepted[0].take() {
            let at = base + self.write_at % length;
            self.operands[at..at + lanes.len()].copy_from_slice(&lanes);
            self.write_at = if last { 0 } else { self.write_at + lanes.len() };
            data_ends = last;
        }
        if let Some(Input::Scale { lanes, last }) = accepted[1].take() {
            let word = base / self.size.word + self.scale_at % (length / self.size.word);
            self.scales[word * lanes.len()..][..lanes.len()].copy_from_slice(&lanes);
            self.scale_at = if last { 0 } else { self.scale_at + 1 };
            scale_ends = last;
        }
        let mut added = None;
        if let Some(Input::Add { lanes, bits, last }) = accepted[3].take() {
            let at = self.base(self.halves.add_half()) + self.add_at;
            add(&mut self.operands[at..at + lanes.len()], &lanes, bits);
            self.add_at = if last { 0 } else { self.add_at + lanes.len() };
            added = Some(last);
        }
        self.halves.clock(Events { data_ends, scale_ends, freed, again, add: added });
    }
}
