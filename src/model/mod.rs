//! A BERT-type sentence encoder on the host, with its attention on a device.
//!
//! Paper: SpAtten (arXiv 2012.09852) section III. The accelerator computes attention and decides what is pruned; the
//! projections, the feed-forward parts and the embeddings are the host's, and are computed for live tokens only.
//!
//! ```text
//!            hidden rows of live tokens                     device: [`Attention`]
//!   ids -> embeddings -> | Q of queries, K and V of survivors | -> layer() -> prunes
//!                        |<--- rows that are still queries ---- out ---------+
//!                        | output projection, LayerNorm, FFN, LayerNorm
//!                        +-> next layer ...                -> mean over the last rows -> unit length
//! ```
//! Everything is f64, so that what a device loses is seen apart from what the host rounds.
//!
//! # Examples
//! ```no_run
//! use spatten::model::{DenseAttention, Encoder, resolve};
//! # fn main() -> Result<(), spatten::model::ModelError> {
//! let encoder = Encoder::load(&resolve("all-MiniLM-L6-v2")?)?;
//! let tokens = encoder.tokenize("The kettle whistled.")?;
//! let mut device = DenseAttention::new(tokens.ids.len(), encoder.heads());
//! let embedding = encoder.embed(&tokens.ids, &mut device);
//! assert_eq!(embedding.vector.len(), 384);
//! # Ok(())
//! # }
//! ```

mod config;
mod dense;
mod encoder;
mod error;
mod resolve;
mod weights;

pub use dense::DenseAttention;
pub use encoder::{Embedding, Encoder, LayerRecord, MAX_TOKENS, Tokens};
pub use error::{ModelError, panics_are_answered};
pub use resolve::{cache_folder, resolve};
pub use spatten_golden::attention::{Attention, LayerInput, LayerOutput};
