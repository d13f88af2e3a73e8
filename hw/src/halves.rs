//! Who may use which half of a double buffer. Part of `key_buffer` and `value_buffer`.

use crate::hdl::*;

/// Two halves, filled and read in turn; or, where `whole` says so, one buffer of both.
///
/// A half is filled when its data has ended and, with `scaled`, its scales too. Only then it is read, until it is released;
/// only then it is written again. `whole` and `scaled` change only while nothing is filled, and count from two cycles later.
///
/// `again` closes the half that is read until more has been added to it. A beat that is added in cycle `t` is written in `t + 1`
/// (`sums`), when no data may be; the half is read again from the second cycle after the last of them.
#[derive(LogicBlock)]
pub struct Halves {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, empties both.
    pub reset: Signal<In, Bit>,
    /// One buffer of both halves.
    pub whole: Signal<In, Bit>,
    /// Scales belong to the data.
    pub scaled: Signal<In, Bit>,
    /// Data may be written.
    pub data_open: Signal<Out, Bit>,
    /// Scales may be written.
    pub scale_open: Signal<Out, Bit>,
    /// The last of the data is written.
    pub data_ends: Signal<In, Bit>,
    /// The last of the scales is written.
    pub scale_ends: Signal<In, Bit>,
    /// The half that is written.
    pub write_half: Wire<Out>,
    /// The oldest filled half may be read.
    pub read_open: Signal<Out, Bit>,
    /// It.
    pub read_half: Wire<Out>,
    /// It is read no more.
    pub freed: Signal<In, Bit>,
    /// It is read no more before something has been added to it.
    pub again: Signal<In, Bit>,
    /// That may be added.
    pub add_open: Signal<Out, Bit>,
    /// It is.
    pub add: Signal<In, Bit>,
    /// The last of it.
    pub add_last: Signal<In, Bit>,
    /// What was added in the cycle before is written.
    pub sums: Signal<Out, Bit>,
    /// Filled halves.
    pub full: Wire<Out>,
    writing: Reg,
    reading: Reg,
    filled: Vec<Dff<Bit>>,
    data_done: Dff<Bit>,
    scale_done: Dff<Bit>,
    is_whole: Dff<Bit>,
    is_scaled: Dff<Bit>,
    lacks: Dff<Bit>,
    held: Dff<Bit>,
    held_last: Dff<Bit>,
    free: Signal<Local, Bit>,
    fill: Signal<Local, Bit>,
}

impl Default for Halves {
    fn default() -> Self {
        Self {
            name: ModuleName::new("halves"),
            clock: Default::default(),
            reset: Default::default(),
            whole: Default::default(),
            scaled: Default::default(),
            data_open: Default::default(),
            scale_open: Default::default(),
            data_ends: Default::default(),
            scale_ends: Default::default(),
            write_half: Wire::unsigned(1),
            read_open: Default::default(),
            read_half: Wire::unsigned(1),
            freed: Default::default(),
            again: Default::default(),
            add_open: Default::default(),
            add: Default::default(),
            add_last: Default::default(),
            sums: Default::default(),
            full: Wire::unsigned(2),
            writing: Reg::unsigned(1),
            reading: Reg::unsigned(1),
            filled: vec_of(2, Default::default),
            data_done: Default::default(),
            scale_done: Default::default(),
            is_whole: Default::default(),
            is_scaled: Default::default(),
            lacks: Default::default(),
            held: Default::default(),
            held_last: Default::default(),
            free: Default::default(),
            fill: Default::default(),
        }
    }
}

impl Logic for Halves {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, writing, reading, data_done, scale_done, is_whole, is_scaled, lacks, held, held_last);
        self.is_whole.d.next = self.whole.val();
        self.is_scaled.d.next = self.scaled.val();
        self.free.next = (!self.writing.q.val().any() & !self.filled[0].q.val())
            | (self.writing.q.val().any() & !self.filled[1].q.val());
        self.data_open.next = self.free.val() & !self.data_done.q.val() & !self.held.q.val();
        self.scale_open.next = self.free.val() & !self.scale_done.q.val() & self.is_scaled.q.val();
        self.read_open.next = !self.lacks.q.val()
            & ((!self.reading.q.val().any() & self.filled[0].q.val())
                | (self.reading.q.val().any() & self.filled[1].q.val()));
        self.add_open.next = self.lacks.q.val() & !(self.held.q.val() & self.held_last.q.val());
        self.sums.next = self.held.q.val();
        self.held.d.next = self.add.val();
        self.held_last.d.next = self.add_last.val();
        if self.again.val() {
            self.lacks.d.next = true;
        }
        if self.held.q.val() & self.held_last.q.val() {
            self.lacks.d.next = false;
        }
        self.write_half.next = self.writing.q.val();
        self.read_half.next = self.reading.q.val();
        self.full.next = 0.into();
        if self.filled[0].q.val() & self.filled[1].q.val() {
            self.full.next = 3.into();
        } else if self.filled[1].q.val() {
            self.full.next = 2.into();
        } else if self.filled[0].q.val() {
            self.full.next = 1.into();
        }
        self.fill.next = (self.data_done.q.val() | self.data_ends.val())
            & (!self.is_scaled.q.val() | self.scale_done.q.val() | self.scale_ends.val());
        for i in 0..2 {
            self.filled[i].clock.next = self.clock.val();
            self.filled[i].d.next = self.filled[i].q.val();
            if self.freed.val() & (self.reading.q.val() == i) {
                self.filled[i].d.next = false;
            }
            if self.fill.val() & (self.writing.q.val() == i) {
                self.filled[i].d.next = true;
            }
        }
        if self.data_ends.val() {
            self.data_done.d.next = true;
        }
        if self.scale_ends.val() {
            self.scale_done.d.next = true;
        }
        if self.fill.val() {
            self.data_done.d.next = false;
            self.scale_done.d.next = false;
            if !self.is_whole.q.val() {
                self.writing.d.next = self.writing.q.val() + 1;
            }
        }
        if self.freed.val() & !self.is_whole.q.val() {
            self.reading.d.next = self.reading.q.val() + 1;
        }
        if self.reset.val() {
            self.writing.d.next = 0.into();
            self.reading.d.next = 0.into();
            self.data_done.d.next = false;
            self.scale_done.d.next = false;
            self.filled[0].d.next = false;
            self.filled[1].d.next = false;
            self.lacks.d.next = false;
            self.held.d.next = false;
        }
    }
}
