//! The authors' count files: what was fetched per step, layer and head, without tensors.
//! Source: the workload files of the SpAtten release (17 columns; the last line names the run's YAML).

use super::{WorkloadError, cut, quote, quote_bytes};
use csv::{ByteRecord, ReaderBuilder};

/// The columns, in the order of the file.
pub const COLUMNS: [&str; 17] = [
    "iteration_id",
    "layer_id",
    "head_id",
    "embedding_length_D",
    "sentence_length_L",
    "key_fetch_num",
    "quant_key_bit",
    "quant_query_bit",
    "auto_requant_thres",
    "if_requant",
    "auto_requant_incre",
    "value_fetch_num",
    "quant_value_bit",
    "if_accumulate_importance",
    "if_rescale_previous_importance",
    "if_topk",
    "topk",
];

// Limits: far above any published model, and together low enough that cycles, bytes and operations of a whole file
// (2^22 rows x 2^20 tokens x 2^10 numbers x 2^5 bits = 2^57) fit 64 bits.

/// Rows of one file.
pub const MAX_ROWS: usize = 1 << 22;
/// Largest `iteration_id`, exclusive.
pub const MAX_ITERATIONS: u64 = 1 << 24;
/// Largest `layer_id` and `head_id`, exclusive.
pub const MAX_LAYERS: u64 = 1 << 12;
/// Largest `embedding_length_D`.
pub const MAX_HEAD_DIM: u64 = 1 << 10;
/// Largest `sentence_length_L`.
pub const MAX_TOKENS: u64 = 1 << 20;
/// Largest width in bits.
pub const MAX_BITS: u64 = 32;

/// One head of one layer in one step: a single query row.
#[derive(Debug, Clone, PartialEq)]
pub struct CountRow {
    /// Generation step, from 0.
    pub iteration: u32,
    /// Layer, from 0.
    pub layer: u32,
    /// Head, from 0.
    pub head: u32,
    /// Head dimension D, 1 to [`MAX_HEAD_DIM`].
    pub head_dim: u32,
    /// Tokens of the sequence in this step, 1 to [`MAX_TOKENS`].
    pub sentence_length: u32,
    /// Keys fetched, at most `sentence_length`.
    pub keys_fetched: u32,
    /// Width of keys; `None`: not quantised.
    pub key_bits: Option<u32>,
    /// Width of queries; `None`: not quantised.
    pub query_bits: Option<u32>,
    /// A row whose largest probability is below this is computed again; `None`: never.
    pub requant_threshold: Option<f64>,
    /// Whether this row was computed again with its LSBs.
    pub requantised: bool,
    /// Bits that the second fetch adds; `None`: no second fetch.
    pub requant_bits: Option<u32>,
    /// Values fetched, at most `keys_fetched`.
    pub values_fetched: u32,
    /// Width of values; `None`: not quantised.
    pub value_bits: Option<u32>,
    /// Whether the row's probabilities are added to the token importance.
    pub accumulates_importance: bool,
    /// Whether the importance of earlier steps is rescaled here.
    pub rescales_importance: bool,
    /// Tokens kept by a top-k after this row; `None`: no top-k here.
    pub top_k: Option<u32>,
}

/// A whole count file, rows in the order of the file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CountTrace {
    /// At least one.
    pub rows: Vec<CountRow>,
    /// The YAML file named in the last line: the authors' own configuration, not needed and not read.
    pub source: Option<String>,
}

/// Reads a count file from memory; `origin` stands for the file in messages.
///
/// # Errors
/// With line and column where a column is missing or in another place, a number is no number, is outside its range or
/// does not agree with another, and where there are no rows.
pub fn from_csv(bytes: &[u8], origin: &str) -> Result<CountTrace, WorkloadError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut record = ByteRecord::new();
    let mut next = |record: &mut ByteRecord| -> Result<Option<u64>, WorkloadError> {
        let more = reader.read_byte_record(record).map_err(|e| {
            let line = e.position().map_or(1, csv::Position::line);
            csv_error(origin, line, "line", cut(&e.to_string()), "comma-separated fields")
        })?;
        Ok(more.then(|| record.position().map_or(0, csv::Position::line)))
    };
    next(&mut record)?;
    check_header(&record, origin)?;
    let mut trace = CountTrace { rows: vec![], source: None };
    let mut last_line = 1;
    while let Some(line) = next(&mut record)? {
        if trace.source.is_some() {
            let found = format!("another line after the one that names {}", quote(&trace.source.unwrap_or_default()));
            return Err(csv_error(origin, line, "line", found, "the end of the file"));
        }
        if let Some(source) = source_line(&record) {
            trace.source = Some(source);
            continue;
        }
        if trace.rows.len() == MAX_ROWS {
            let found = format!("more than {MAX_ROWS} rows");
            return Err(csv_error(origin, line, "line", found, format!("at most {MAX_ROWS}")));
        }
        trace.rows.push(Line { record: &record, origin, line }.row()?);
        last_line = line;
    }
    if trace.rows.is_empty() {
        return Err(csv_error(origin, last_line + 1, "line", "no data", "at least one row"));
    }
    Ok(trace)
}

fn csv_error(
    origin: &str,
    line: u64,
    what: impl Into<String>,
    found: impl Into<String>,
    expected: impl Into<String>,
) -> WorkloadError {
    let (what, found, expected) = (what.into(), found.into(), expected.into());
    WorkloadError::Csv { origin: origin.into(), line, what, found, expected }
}

fn check_header(record: &ByteRecord, origin: &str) -> Result<(), WorkloadError> {
    let present = |name: &str| record.iter().any(|f| f.trim_ascii() == name.as_bytes());
    for (index, name) in COLUMNS.into_iter().enumerate() {
        let found = record.get(index).unwrap_or_default().trim_ascii();
        if found == name.as_bytes() {
            continue;
        }
        let (found, expected) = if present(name) {
            (format!("{} at position {}", quote_bytes(found), index + 1), "the authors' order of columns")
        } else {
            ("missing".into(), "the authors' 17 columns")
        };
        return Err(csv_error(origin, 1, format!("column {name}"), found, expected));
    }
    if record.len() > COLUMNS.len() {
        let extra = quote_bytes(&record[COLUMNS.len()]);
        return Err(csv_error(origin, 1, format!("column {extra}"), "unknown", "the authors' 17 columns"));
    }
    Ok(())
}

/// The text of a line with text in its first field and nothing else.
fn source_line(record: &ByteRecord) -> Option<String> {
    let mut fields = record.iter();
    let text = String::from_utf8_lossy(fields.next()?).trim().to_string();
    let alone = fields.all(|f| f.trim_ascii().is_empty());
    // A line break can only come from an open quote, which has swallowed rows.
    let is_name = !text.is_empty() && text.parse::<f64>().is_err() && !text.contains(char::is_control);
    (alone && is_name).then_some(text)
}

/// One data line with what messages need.
struct Line<'a> {
    record: &'a ByteRecord,
    origin: &'a str,
    line: u64,
}

impl Line<'_> {
    fn row(&self) -> Result<CountRow, WorkloadError> {
        if self.record.len() != COLUMNS.len() {
            let found = format!("{} fields", self.record.len());
            return Err(csv_error(self.origin, self.line, "line", found, "17 (truncated?)"));
        }
        let sentence_length = self.count(4, 1, MAX_TOKENS, "")?;
        let keys_fetched = self.count(5, 0, sentence_length.into(), ", the sentence length")?;
        let values_fetched = self.count(11, 0, keys_fetched.into(), ", the keys fetched")?;
        let requantised = self.boolean(9)?;
        let requant_bits = self.optional(10, 0, MAX_BITS, "")?;
        if requantised && requant_bits.is_none() {
            return Err(self.bad(10, "a number of bits, because if_requant is True"));
        }
        let top_k = self.optional(16, 1, sentence_length.into(), ", the sentence length")?;
        let if_top_k = self.boolean(15)?;
        if if_top_k && top_k.is_none() {
            return Err(self.bad(16, "a count, because if_topk is True"));
        }
        Ok(CountRow {
            iteration: self.count(0, 0, MAX_ITERATIONS - 1, "")?,
            layer: self.count(1, 0, MAX_LAYERS - 1, "")?,
            head: self.count(2, 0, MAX_LAYERS - 1, "")?,
            head_dim: self.count(3, 1, MAX_HEAD_DIM, "")?,
            sentence_length,
            keys_fetched,
            key_bits: self.optional(6, 1, MAX_BITS, "")?,
            query_bits: self.optional(7, 1, MAX_BITS, "")?,
            requant_threshold: self.threshold()?,
            requantised,
            requant_bits,
            values_fetched,
            value_bits: self.optional(12, 1, MAX_BITS, "")?,
            accumulates_importance: self.boolean(13)?,
            rescales_importance: self.boolean(14)?,
            top_k: top_k.filter(|_| if_top_k),
        })
    }

    fn bad(&self, column: usize, expected: impl Into<String>) -> WorkloadError {
        let what = format!("column {}", COLUMNS[column]);
        csv_error(self.origin, self.line, what, quote_bytes(&self.record[column]), expected)
    }

    /// The field as a number; the authors' tools write some counts as `64.0`.
    fn number(&self, column: usize) -> Option<f64> {
        std::str::from_utf8(&self.record[column]).ok()?.trim().parse().ok()
    }

    fn count(&self, column: usize, low: u64, high: u64, why: &str) -> Result<u32, WorkloadError> {
        self.number(column)
            .filter(|x| x.fract() == 0.0 && (low as f64..=high as f64).contains(x))
            .map(|x| x as u32)
            .ok_or_else(|| self.bad(column, format!("a whole number from {low} to {high}{why}")))
    }

    /// A count, or -1 for none.
    fn optional(&self, column: usize, low: u64, high: u64, why: &str) -> Result<Option<u32>, WorkloadError> {
        if self.number(column) == Some(-1.0) {
            return Ok(None);
        }
        self.count(column, low, high, why)
            .map(Some)
            .map_err(|_| self.bad(column, format!("-1 or a whole number from {low} to {high}{why}")))
    }

    fn threshold(&self) -> Result<Option<f64>, WorkloadError> {
        match self.number(8) {
            Some(-1.0) => Ok(None),
            Some(x) if (0.0..=1.0).contains(&x) => Ok(Some(x)),
            _ => Err(self.bad(8, "-1 or a probability from 0 to 1")),
        }
    }

    fn boolean(&self, column: usize) -> Result<bool, WorkloadError> {
        match self.record[column].trim_ascii() {
            b"True" => Ok(true),
            b"False" => Ok(false),
            _ => Err(self.bad(column, "True or False")),
        }
    }
}
