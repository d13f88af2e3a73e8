//! The program: takes jobs from the ring, checks them, does them, answers.
//!
//! Registers 1 to 15 are anyone's; the others have names below. Subroutines say what they take and give.

mod check;
mod jobs;
mod layer;
mod state;

use super::names::{Field, Pop, Port, Push};
use super::{WORD_BYTES, elements};
use crate::ArchConfig;
use crate::descriptor::{JOB_BYTES, Opcode, Status};
use crate::micro::{Assembler, Label};

/// The context whose tokens and importances are here, plus 1; 0: of none.
const HERE: u8 = 16;
/// Scratch address of the context that the job is about.
const CONTEXT: u8 = 17;
/// Sums are newer than `token_store`.
const DIRTY: u8 = 18;
/// Sums of the tokens of the list are in `importance_accumulator`.
const LOADED: u8 = 19;
/// The sequencer has the list of keys, of queries.
const KEYS_SENT: u8 = 20;
const QUERIES_SENT: u8 = 21;
/// Jobs fetched, completions written.
const HEAD: u8 = 22;
const TAIL: u8 = 23;
/// Of the completion.
const STATUS: u8 = 24;
const DETAIL: u8 = 25;
const RESULT: u8 = 26;
/// Where subroutines return to, by how deep they are.
const LINK: u8 = 31;
const INNER: u8 = 30;
const INNERMOST: u8 = 29;

/// Scratch: the job, the parameters of its layer, the queries that the sequencer has, heads and their factors, contexts.
const JOB: usize = 0;
const PARAMETERS: usize = 8;
const QUERY_COUNT: usize = 31;
const HEADS: usize = 32;
const FACTORS: usize = 160;
const CONTEXTS_AT: usize = 512;
/// log2 of the words of a context.
const CONTEXT_LEVEL: u16 = 5;

/// Words of a context.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
enum Word {
    Exists,
    Mode,
    Heads,
    Group,
    Dim,
    Importance,
    Tokens,
    Rows,
    KvOnly,
    Evict,
    PinCurrent,
    Gamma,
    PinFirst,
    PinLast,
    Storage,
    Real,
    Left,
    AliveLow,
    AliveHigh,
    HeadsLeft,
    NextLayer,
    Steps,
    Joined,
}

/// The program of a configuration.
///
/// # Panics
/// Where words of memory are not [`WORD_BYTES`].
pub fn program(config: &ArchConfig) -> Vec<u64> {
    assert!(WORD_BYTES.contains(&config.channel_bytes), "words of {} bytes", config.channel_bytes);
    let mut a = Assembler::default();
    let parts = Parts {
        fault: a.label(),
        find_byte: a.label(),
        done: a.label(),
        save: a.label(),
        save_importance: a.label(),
        write_state: a.label(),
        read_heads: a.label(),
        read_words: a.label(),
        read_element: a.label(),
        find_context: a.label(),
        turn_to: a.label(),
        load_importance: a.label(),
    };
    let mut f = Firmware { a, config: config.clone(), parts };
    f.ring();
    f.begin();
    f.end();
    f.step();
    f.layer();
    f.read_state();
    f.copy();
    f.subroutines();
    f.a.finish()
}

/// Places that are called or gone to from elsewhere.
struct Parts {
    /// The job is at fault: `STATUS` and `DETAIL` say how.
    fault: Label,
    /// It has a byte that is not 0: 1 is a word without what is allowed, `DETAIL` its first byte.
    find_byte: Label,
    /// The job is done: `RESULT` and `DETAIL` say what came of it.
    done: Label,
    save: Label,
    save_importance: Label,
    write_state: Label,
    read_heads: Label,
    read_words: Label,
    read_element: Label,
    find_context: Label,
    turn_to: Label,
    load_importance: Label,
}

struct Firmware {
    a: Assembler,
    config: ArchConfig,
    parts: Parts,
}

impl Firmware {
    fn out(&mut self, field: Field, register: u8) {
        self.a.out(field.at(), register);
    }

    fn push(&mut self, stream: Push) {
        self.a.push(stream.at());
    }

    fn look(&mut self, d: u8, port: Port) {
        self.a.input(d, port.at());
    }

    fn data(&self) -> usize {
        Field::ALL.len()
    }

    fn seen_data(&self) -> usize {
        Port::ALL.len()
    }

    fn elements(&self) -> usize {
        elements(&self.config)
    }

    fn word_bytes(&self) -> usize {
        self.config.channel_bytes
    }

    /// All bytes of a word: 13 takes their bits.
    fn out_all_bytes(&mut self) {
        let all = u64::MAX >> (64 - self.word_bytes());
        self.a.set(13, all);
        self.out(Field::C, 13);
    }

    fn context(&mut self, d: u8, word: Word) {
        self.a.load(d, CONTEXT, word as usize);
    }

    fn set_context(&mut self, word: Word, register: u8) {
        self.a.store(CONTEXT, word as usize, register);
    }

    /// `d` = a field of the job or of the parameters.
    fn field(&mut self, d: u8, from: usize, byte: usize, bytes: usize) {
        self.a.load(d, 0, from + byte / 8);
        if bytes < 8 {
            self.a.field(d, d, 8 * (byte % 8) as u32, 8 * bytes as u32);
        }
    }

    /// Where word `n` of a block at `base` is: channel to `A`, address to `B`; 14 is used.
    fn out_place(&mut self, n: u8, base: u8) {
        let level = self.config.channels.ilog2();
        self.a.set(14, 0);
        if level > 0 {
            self.a.field(14, n, 0, level);
        }
        self.out(Field::A, 14);
        self.a.shift_right(14, n, level as u16);
        self.a.add(14, 14, base);
        self.out(Field::B, 14);
    }

    fn fail(&mut self, status: Status, detail: u64) {
        let fault = self.parts.fault;
        self.a.set(STATUS, status as u64);
        self.a.set(DETAIL, detail);
        self.a.jump(fault);
    }

    /// Goes on where the opcode is not this one; what follows is its job.
    fn opcode(&mut self, opcode: Opcode, otherwise: Label) {
        self.a.set(2, opcode as u64);
        self.a.if_different(1, 2, otherwise);
    }

    /// The ring: fetches jobs as long as the device is enabled, and writes their completions.
    fn ring(&mut self) {
        let (bytes, per) = (self.word_bytes(), self.elements());
        let (disabled, poll, run) = (self.a.label(), self.a.label(), self.a.label());
        self.a.set(HERE, 0);
        for context in 0..crate::descriptor::CONTEXTS {
            self.a.store(0, CONTEXTS_AT + (context << CONTEXT_LEVEL) + Word::Exists as usize, 0);
        }
        self.a.here(disabled);
        self.a.set(1, 0);
        self.out(Field::Status, 1);
        self.out(Field::Error, 1);
        self.look(1, Port::Enable);
        self.a.if_equal(1, 0, disabled);
        self.a.set(HEAD, 0);
        self.a.set(TAIL, 0);
        self.out(Field::SubmissionHead, HEAD);
        self.out(Field::CompletionTail, TAIL);
        self.a.here(poll);
        self.a.set(1, 1);
        self.out(Field::Status, 1);
        self.look(1, Port::Enable);
        self.a.if_equal(1, 0, disabled);
        self.look(1, Port::SubmissionTail);
        self.a.if_equal(1, HEAD, poll);
        // Room for the completion.
        self.look(1, Port::CompletionHead);
        self.a.sub(1, TAIL, 1);
        self.a.field(1, 1, 0, 32);
        self.look(2, Port::CompletionLevel);
        self.a.set(3, 1);
        self.a.shift_left_by(3, 3, 2);
        self.a.if_not_less(1, 3, poll);

        // The job.
        self.a.set(1, 3);
        self.out(Field::Status, 1);
        self.look(2, Port::SubmissionLevel);
        self.a.set(3, 1);
        self.a.shift_left_by(3, 3, 2);
        self.a.add_n(3, 3, -1);
        self.a.and(3, HEAD, 3);
        self.a.shift_left(3, 3, 6);
        self.look(4, Port::SubmissionBase);
        self.a.add(4, 4, 3);
        for word in 0..JOB_BYTES / bytes {
            self.out(Field::B, 4);
            self.push(Push::HostRead);
            self.a.wait(Pop::HostWord.at());
            for element in 0..per {
                let port = self.seen_data() + element;
                self.a.input(5, port);
                self.a.store(0, JOB + word * per + element, 5);
            }
            self.a.pop(Pop::HostWord.at());
            self.a.add_n(4, 4, bytes as i16);
        }
        self.a.add_n(HEAD, HEAD, 1);
        self.a.field(HEAD, HEAD, 0, 32);
        self.out(Field::SubmissionHead, HEAD);
        self.a.set(STATUS, Status::Success as u64);
        self.a.set(DETAIL, 0);
        self.a.set(RESULT, 0);
        self.a.jump(run);

        // What becomes of it.
        let (find_byte, fault, done) = (self.parts.find_byte, self.parts.fault, self.parts.done);
        self.a.here(find_byte);
        self.a.set(STATUS, Status::Malformed as u64);
        let next = self.a.begin();
        self.a.field(2, 1, 0, 8);
        self.a.if_different(2, 0, fault);
        self.a.shift_right(1, 1, 8);
        self.a.add_n(DETAIL, DETAIL, 1);
        self.a.jump(next);
        self.a.here(fault);
        self.a.set(RESULT, 0);
        self.a.here(done);
        self.a.shift_left(1, DETAIL, 32);
        self.a.field(2, RESULT, 0, 32);
        self.a.or(1, 1, 2);
        // Head, id, status, phase.
        self.look(2, Port::CompletionLevel);
        self.a.shift_right_by(3, TAIL, 2);
        self.a.field(3, 3, 0, 1);
        self.a.set(4, 1);
        self.a.xor(3, 3, 4);
        self.a.shift_left(3, 3, 63);
        self.a.shift_left(4, STATUS, 48);
        self.a.or(3, 3, 4);
        self.field(4, JOB, crate::descriptor::ID_OFFSET, 2);
        self.a.shift_left(4, 4, 32);
        self.a.or(3, 3, 4);
        self.a.or(3, 3, HEAD);
        self.a.set(4, 1);
        self.a.shift_left_by(4, 4, 2);
        self.a.add_n(4, 4, -1);
        self.a.and(4, TAIL, 4);
        self.a.shift_left(4, 4, 4);
        self.look(5, Port::CompletionBase);
        self.a.add(4, 4, 5);
        if per == 1 {
            for (offset, part) in [(0, 1), (8, 3)] {
                let data = self.data();
                self.a.out(data, part);
                self.a.add_n(5, 4, offset);
                self.out(Field::B, 5);
                self.out_all_bytes();
                self.push(Push::HostWrite);
                self.a.pop(Pop::HostWritten.at());
            }
        } else {
            for element in 0..per {
                let field = self.data() + element;
                self.a.out(field, if element % 2 == 0 { 1 } else { 3 });
            }
            self.out(Field::B, 4);
            self.a.field(5, 4, 0, bytes.ilog2());
            self.a.set(6, 0xffff);
            self.a.shift_left_by(6, 6, 5);
            self.out(Field::C, 6);
            self.push(Push::HostWrite);
            self.a.pop(Pop::HostWritten.at());
        }
        self.a.add_n(TAIL, TAIL, 1);
        self.a.field(TAIL, TAIL, 0, 32);
        self.out(Field::CompletionTail, TAIL);
        self.push(Push::Job);
        // Interrupts: a completion, and a job that failed.
        self.a.set(1, 1);
        let good = self.a.label();
        self.a.if_equal(STATUS, 0, good);
        self.a.set(1, 3);
        self.a.here(good);
        self.out(Field::A, 1);
        self.push(Push::Event);
        self.a.jump(poll);

        // Which job it is.
        self.a.here(run);
        self.field(1, JOB, 0, 1);
        let nop = self.a.label();
        self.opcode(Opcode::Nop, nop);
        self.check_job(Opcode::Nop);
        self.a.jump(done);
        self.a.here(nop);
    }
}
