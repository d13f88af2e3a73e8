//! Token lists to operands' words, in time. Siblings: `hw`, `tests/matrix_fetcher.rs`.

use crate::cosim::{beats, bits_for};
use crate::crossbar::Crossbar;
use crate::cycle::{CreditPipe, CycleModel, Fifo};
use spatten_arch::ArchConfig;
use spatten_arch::layout::GRANULE_BYTES;

/// Rows of one plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Word at which the plane begins, on every channel.
    pub base: u32,
    /// Bits of an element.
    pub bits: u32,
    /// log2(chunks of a row).
    pub split: u32,
    /// Comes back with its chunks.
    pub tag: u8,
}

/// Tokens of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// As many as there are lanes, fewer only in the last beat.
    pub index: Vec<u16>,
    /// The job's last ones.
    pub last: bool,
}

impl Tokens {
    /// A list in beats; one of none is a beat of none.
    pub fn beats(list: &[u16], lanes: usize) -> Vec<Self> {
        beats(list, lanes).into_iter().map(|(index, last)| Self { index, last }).collect()
    }
}

/// Bits of a slot's number and its round.
fn slot_bits(config: &ArchConfig) -> u32 {
    bits_for(config.words_in_flight - 1) + 1
}

/// Bits of a request's id: the lane, the slot, and the round of the slot.
pub fn id_bits(config: &ArchConfig) -> u32 {
    bits_for(config.channels - 1) + slot_bits(config)
}

/// A word that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Word of the channel.
    pub address: u32,
    /// Comes back with it.
    pub id: u32,
}

/// What a lane's converter is told about a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// The lane has one.
    pub live: bool,
    /// It begins in a new word,
    pub fresh: bool,
    /// after so many granules.
    pub skip: u8,
    /// New words of it.
    pub words: u8,
    /// Of the job.
    pub tag: u8,
    /// The job's last step.
    pub last: bool,
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    chunk: Chunk,
    channel: usize,
    address: u32,
}

/// The word at which a lane's last chunk ended, and the granule of the next one there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct End {
    channel: usize,
    word: usize,
    granule: usize,
}

#[derive(Debug, Clone)]
struct Lane<W> {
    end: End,
    waiting: CreditPipe<Wanted>,
    asked: u8,
    described: Fifo<Chunk>,
    /// Places of words in flight, by slot.
    store: Vec<Option<W>>,
    free: usize,
    next_slot: u32,
    head: usize,
    ready: CreditPipe<W>,
}

/// Cycles from a step to the queue of the lane.
const STEP: usize = 8;
/// Places of that queue.
const PLACES: usize = 16;
/// Cycles from an arrived word to the lane's output, and places there.
const READY: (usize, usize) = (2, 4);

impl<W: Clone> Lane<W> {
    fn new(slots: usize) -> Self {
        Self {
            end: End::default(),
            waiting: CreditPipe::new(STEP, PLACES),
            asked: 0,
            described: Fifo::new(slots),
            store: (0..slots).map(|_| None).collect(),
            free: slots,
            next_slot: slots as u32,
            head: 0,
            ready: CreditPipe::new(READY.0, READY.1),
        }
    }

    /// The request that it offers, and whether its oldest chunk is done with it.
    fn offers(&self) -> (Option<(usize, Request)>, bool) {
        let Some(wanted) = self.waiting.front() else { return (None, false) };
        let last = self.asked + 1 >= wanted.chunk.words;
        if last && !self.described.ready() {
            return (None, false);
        }
        if wanted.chunk.words == 0 {
            return (None, true);
        }
        let address = wanted.address.wrapping_add(self.asked.into());
        let request = (self.free > 0).then_some((wanted.channel, Request { address, id: self.next_slot }));
        (request, last && request.is_some())
    }

    fn clock(
        &mut self,
        step: Option<Wanted>,
        (moves, done): (bool, bool),
        answer: Option<(usize, W)>,
        takes: (bool, bool),
    ) {
        let slots = self.store.len();
        if moves {
            self.asked += 1;
            self.free -= 1;
            self.next_slot = (self.next_slot + 1) % (2 * slots as u32);
        }
        if done {
            self.asked = 0;
        }
        let gone = self.waiting.exchange(step, done);
        self.described.clock(gone.map(|wanted| wanted.chunk), takes.0);
        let word = if self.ready.ready() { self.store[self.head].take() } else { None };
        if word.is_some() {
            self.head = (self.head + 1) % slots;
            self.free += 1;
        }
        self.ready.clock(word, takes.1);
        if let Some((slot, word)) = answer {
            self.store[slot] = Some(word);
        }
    }
}

/// Fetches the rows of listed tokens; see `hw::matrix_fetcher` for the streams. `W` is what a word holds: its bytes, or nothing
/// where only time matters.
///
/// # Timing   a beat of tokens takes ceil(chunks / lanes) steps; 8 cycles to the lane's queue, 2 through a crossbar, 3 behind
/// the arrival
#[derive(Debug, Clone)]
pub struct MatrixFetcher<W> {
    granules: usize,
    slot_bits: u32,
    clearing: usize,
    job: Option<Job>,
    first: bool,
    beat: Option<Tokens>,
    round: usize,
    lanes: Vec<Lane<W>>,
    requests: Crossbar<Request>,
    responses: Crossbar<(usize, W)>,
    /// Of the cycle: what each lane does.
    offers: Vec<(Option<(usize, Request)>, bool)>,
    answers: Vec<Option<(usize, W)>>,
}

impl<W: Clone> MatrixFetcher<W> {
    /// As after reset.
    pub fn new(config: &ArchConfig) -> Self {
        let (lanes, slots) = (config.channels, config.words_in_flight);
        Self {
            granules: config.channel_bytes / GRANULE_BYTES,
            slot_bits: slot_bits(config),
            clearing: slots,
            job: None,
            first: false,
            beat: None,
            round: 0,
            lanes: vec![Lane::new(slots); lanes],
            requests: Crossbar::new(lanes),
            responses: Crossbar::new(lanes),
            offers: vec![(None, false); lanes],
            answers: (0..lanes).map(|_| None).collect(),
        }
    }

    /// There is a step in this cycle, and whether it is the beat's last one.
    fn steps(&self) -> (bool, bool) {
        let (Some(job), Some(beat)) = (&self.job, &self.beat) else { return (false, false) };
        let go = self.lanes.iter().all(|lane| lane.waiting.ready());
        (go, go && self.round + 1 == self.rounds(job, beat))
    }

    /// Steps of a beat; one without tokens has one.
    fn rounds(&self, job: &Job, beat: &Tokens) -> usize {
        (beat.index.len() << job.split).div_ceil(self.lanes.len()).max(1)
    }

    /// A job would be accepted.
    pub fn job_ready(&self) -> bool {
        self.job.is_none() || (self.steps().1 && self.beat.as_ref().is_some_and(|beat| beat.last))
    }

    /// Tokens would be accepted.
    pub fn tokens_ready(&self) -> bool {
        self.job.is_some() && self.beat.as_ref().is_none_or(|beat| !beat.last && self.steps().1)
    }

    /// A response of this channel would be accepted.
    pub fn response_ready(&self, channel: usize) -> bool {
        self.responses.ready(channel)
    }

    /// The word that is asked for on a channel.
    pub fn request(&self, channel: usize) -> Option<&Request> {
        self.requests.output(channel)
    }

    /// The chunk that a lane describes.
    pub fn chunk(&self, lane: usize) -> Option<&Chunk> {
        self.lanes[lane].described.front()
    }

    /// The word that a lane hands on.
    pub fn word(&self, lane: usize) -> Option<&W> {
        self.lanes[lane].ready.front()
    }

    fn step(&mut self, lane: usize, job: &Job, beat: &Tokens) -> Wanted {
        let lanes = self.lanes.len();
        let x = self.round * lanes + lane;
        let last = beat.last && self.round + 1 == self.rounds(job, beat);
        let nothing = Chunk { live: false, fresh: false, skip: 0, words: 0, tag: job.tag, last };
        let Some(&token) = beat.index.get(x >> job.split) else {
            return Wanted { chunk: nothing, channel: 0, address: 0 };
        };
        let number = (usize::from(token) << job.split) + (x & ((1 << job.split) - 1));
        let (channel, from) = (number % lanes, number / lanes * job.bits as usize);
        let to = from + job.bits as usize - 1;
        let (word, last_word) = (from / self.granules, to / self.granules);
        let begin = End { channel, word, granule: from % self.granules };
        let end = &mut self.lanes[lane].end;
        let resume = !self.first && *end == begin && begin.granule != 0;
        *end = End { channel, word: last_word, granule: (to + 1) % self.granules };
        let chunk = Chunk {
            live: true,
            fresh: !resume,
            skip: if resume { 0 } else { begin.granule as u8 },
            words: (last_word - word + 1 - usize::from(resume)) as u8,
            ..nothing
        };
        Wanted { chunk, channel, address: job.base.wrapping_add((word + usize::from(resume)) as u32) }
    }

    /// One rising edge: what was accepted, and which requests, chunks and words were taken.
    pub fn clock(
        &mut self,
        job: Option<Job>,
        tokens: Option<Tokens>,
        mut response: impl FnMut(usize) -> Option<(u32, W)>,
        request_taken: impl Fn(usize) -> bool,
        chunk_taken: impl Fn(usize) -> bool,
        word_taken: impl Fn(usize) -> bool,
    ) {
        let lanes = self.lanes.len();
        let (go, final_step) = self.steps();
        for i in 0..lanes {
            let (mut request, mut done) = self.lanes[i].offers();
            if request.is_some() && (self.clearing > 0 || !self.requests.ready(i)) {
                (request, done) = (None, false);
            }
            self.offers[i] = (request, done);
            self.answers[i] = self.responses.output(i).cloned();
        }
        self.clearing = self.clearing.saturating_sub(1);
        let slot_bits = self.slot_bits;
        let offers = &self.offers;
        let asked = |i: usize| {
            offers[i]
                .0
                .map(|(channel, request)| (channel, Request { id: request.id | (i as u32) << slot_bits, ..request }))
        };
        self.requests.clock(asked, request_taken);
        let slots = (1 << (slot_bits - 1)) - 1;
        let came = |channel: usize| {
            response(channel).map(|(id, word)| ((id >> slot_bits) as usize, ((id & slots) as usize, word)))
        };
        let answers = &self.answers;
        self.responses.clock(came, |lane| answers[lane].is_some());
        let (current, beat) = (self.job, self.beat.take());
        for i in 0..lanes {
            let step = match (&current, &beat) {
                (Some(job), Some(beat)) if go => Some(self.step(i, job, beat)),
                _ => None,
            };
            let (request, done) = &self.offers[i];
            let acts = (request.is_some(), *done);
            self.lanes[i].clock(step, acts, self.answers[i].take(), (chunk_taken(i), word_taken(i)));
        }
        if go {
            self.first = false;
            self.round += 1;
        }
        if final_step {
            self.round = 0;
            if beat.is_some_and(|beat| beat.last) {
                self.job = None;
            }
        } else {
            self.beat = beat;
        }
        if job.is_some() {
            self.job = job;
            self.first = true;
        }
        if tokens.is_some() {
            self.beat = tokens;
        }
    }
}
