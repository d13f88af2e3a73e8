//! Golden model of the accelerator: what is computed, in ndarray, twice.
//!
//! - [`mod@reference`]: the paper's mathematics in f64.
//! - [`fixed`]: bit for bit what the RTL does; the contract that the RTL is checked against.
//!
//! Each block of the chip has one module of its own name with both forms. [`cascade`] runs whole layers over either;
//! [`run`] runs a recorded trace; [`attention::Attention`] is what a model host sees.
//!
//! ```
//! use ndarray::Array4;
//! use spatten_arch::{ArchConfig, Plan};
//! use spatten_golden::{fixed::Fixed, run, trace::{Mode, Trace}};
//!
//! let x = Array4::from_shape_fn((2, 1, 5, 16), |(l, _, t, d)| ((l + 3 * t + 7 * d) % 11) as f32 - 5.0);
//! let trace = Trace::new(x.clone(), x.clone(), x, None, Mode::Encoder, None).unwrap();
//! let plan = Plan::from_toml("[tokens]\nkeep = [3]", "example").unwrap();
//! let result = run::run(&trace, &plan, Fixed::new(&ArchConfig::paper()), None);
//! assert_eq!(result.passes[0].survivors[1].len(), 3);
//! ```

pub mod attention;
pub mod bitwidth_converter;
pub mod cascade;
pub mod dot_product;
pub mod fixed;
pub mod importance_accumulator;
pub mod multiply_value;
pub mod prefix_sum;
pub mod quantiser;
pub mod quick_select;
pub mod radix_select;
pub mod reference;
pub mod requant_decision;
pub mod run;
pub mod softmax;
pub mod top_k;
pub mod trace;
pub mod zero_eliminator;
