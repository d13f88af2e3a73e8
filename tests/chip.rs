//! `chip`: RTL and cycle model on one board, every port in every cycle; results are golden's.
//!
//! ```text
//!  workload --> host side --> board: registers, rings, memory --> RTL = model? --> board --> host side --> golden?
//! ```

use spatten::card::rtl::{RtlChip, verilog};
use spatten_sim::chip::{Chip, Input, Output};
use spatten_sim::cosim::{Beat, Init};
use spatten_sim::cycle::CycleModel;
