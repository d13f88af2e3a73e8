//! `spatten`
fn main() {}
