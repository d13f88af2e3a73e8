//! The command line of `spatten` as a library: what the binary, the cross-crate tests and the fuzz targets share.

pub mod model;
