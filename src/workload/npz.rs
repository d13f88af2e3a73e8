//! Workloads in npz files: a zip archive of npy files, as `numpy.savez` and `savez_compressed` write it.
//! Format: PKWARE APPNOTE 6.3, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.16 (its end).
//!
//! Why not a zip crate: those reserve memory for as many entries as the archive claims. Here every size is compared with
//! the bytes that are there, and what deflate yields is cut at the size the directory states. Not supported, with a
//! clear error: zip64 (beyond 4 GiB or 65534 entries), encryption, and methods that numpy does not write.

use super::{Workload, WorkloadError, finish, list_names, npy, one_line, quote_bytes};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;

/// The most that the arrays of one npz may take when decompressed, all together.
pub const MAX_NPZ_BYTES: u64 = 4 << 30;

/// Deflate cannot do better than 1032:1 (zlib's documentation); an entry that claims more is damaged or hostile.
const MAX_DEFLATE_RATIO: u64 = 1032;

/// End of central directory without its comment (APPNOTE 4.3.16).
const END_BYTES: usize = 22;
/// Central directory entry without its variable part (4.3.12).
const ENTRY_BYTES: usize = 46;
/// Local header without its variable part (4.3.7).
const LOCAL_BYTES: usize = 30;
/// A comment's length has 16 bits.
const MAX_COMMENT_BYTES: usize = 0xffff;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// General purpose bit 0: encrypted.
const ENCRYPTED: u16 = 1;

/// Reads a trace from npz in memory: arrays `q`, `k`, `v`, optional `mask`, `mode` (0-d string) and `scale` (0-d
/// float). `origin` stands for the file in messages.
///
/// # Errors
/// Where the archive is damaged, an array is missing or has the wrong type, rank or values, or arrays do not belong
/// together.
pub fn from_npz(bytes: &[u8], origin: &str) -> Result<Workload, WorkloadError> {
    let archive = Archive::open(bytes, origin)?;
    let mut budget = MAX_NPZ_BYTES;
    let mut array = |name: &'static str| archive.entry(name, &mut budget);
    let mut main = |name: &'static str| {
        let data = array(name)?.ok_or_else(|| WorkloadError::Missing {
            origin: origin.into(),
            tensor: name,
            found: list_names(&archive.names()),
        })?;
        npy::tensor4(origin, name, &data)
    };
    let qkv = [main("q")?, main("k")?, main("v")?];
    let mask = array("mask")?.map(|data| npy::mask_tensor(origin, &data)).transpose()?;
    let mode = array("mode")?.map(|data| npy::mode(origin, &data)).transpose()?.unwrap_or_default();
    let scale = array("scale")?.map(|data| npy::scale(origin, &data)).transpose()?;
    let known = ["q.npy", "k.npy", "v.npy", "mask.npy", "mode.npy", "scale.npy"];
    let ignored = archive.entries.keys().filter(|n| !known.contains(&n.as_str())).map(|n| array_name(n)).collect();
    finish(origin, qkv, mask, mode, scale, ignored)
}

/// What the central directory says about one file.
struct Entry {
    flags: u16,
    method: u16,
    crc: u32,
    packed_bytes: u64,
    bytes: u64,
    /// Of the local header, from the start of the file.
    offset: usize,
}

struct Archive<'a> {
    origin: &'a str,
    bytes: &'a [u8],
    /// By file name.
    entries: BTreeMap<String, Entry>,
}

/// numpy's name for a file of the archive.
fn array_name(file_name: &str) -> String {
    file_name.strip_suffix(".npy").unwrap_or(file_name).into()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn damaged(origin: &str, part: &str, found: impl Into<String>, expected: impl Into<String>) -> WorkloadError {
    WorkloadError::Container {
        origin: origin.into(),
        part: part.into(),
        found: found.into(),
        expected: expected.into(),
    }
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8], origin: &'a str) -> Result<Self, WorkloadError> {
        let bad = |found: String, expected: &str| damaged(origin, "npz directory", found, expected);
        // The end record is the last thing in the file, before a comment of any length up to 65535.
        let first = bytes.len().saturating_sub(END_BYTES + MAX_COMMENT_BYTES);
        let end_at = (first..(bytes.len() + 1).saturating_sub(END_BYTES))
            .rev()
            .find(|&at| {
                bytes[at..].starts_with(b"PK\x05\x06")
                    && usize::from(u16_at(bytes, at + 20)) == bytes.len() - at - END_BYTES
            })
            .ok_or_else(|| {
                bad(format!("{} bytes without an end record", bytes.len()), "a whole zip archive (truncated?)")
            })?;
        let end = &bytes[end_at..];
        let (count, size, start) = (u16_at(end, 10), u32_at(end, 12), u32_at(end, 16));
        if count == u16::MAX || size == u32::MAX || start == u32::MAX {
            return Err(bad(
                "a zip64 archive".into(),
                "one below 4 GiB and 65535 arrays; larger traces as safetensors",
            ));
        }
        if u16_at(end, 4) != 0 || u16_at(end, 6) != 0 || u16_at(end, 8) != count {
            return Err(bad("an archive in several parts".into(), "one in a single file"));
        }
        if u64::from(start) + u64::from(size) != end_at as u64 {
            let found = format!("{size} bytes at {start}");
            return Err(bad(found, &format!("a directory that ends at its end record, byte {end_at}")));
        }
        let mut rest = &bytes[start as usize..end_at];
        let mut entries = BTreeMap::new();
        for index in 0..count {
            let short = || bad(format!("{} bytes left at entry {index} of {count}", rest.len()), "a whole entry");
            if !rest.starts_with(b"PK\x01\x02") || rest.len() < ENTRY_BYTES {
                return Err(short());
            }
            let name_end = ENTRY_BYTES + usize::from(u16_at(rest, 28));
            let entry_end = name_end + usize::from(u16_at(rest, 30)) + usize::from(u16_at(rest, 32));
            if rest.len() < entry_end {
                return Err(short());
            }
            let file_name = String::from_utf8_lossy(&rest[ENTRY_BYTES..name_end]).into_owned();
            let entry = Entry {
                flags: u16_at(rest, 8),
                method: u16_at(rest, 10),
                crc: u32_at(rest, 16),
                packed_bytes: u32_at(rest, 20).into(),
                bytes: u32_at(rest, 24).into(),
                offset: u32_at(rest, 42) as usize,
            };
            if entries.insert(file_name, entry).is_some() {
                return Err(bad(format!("{} twice", quote_bytes(&rest[ENTRY_BYTES..name_end])), "each array once"));
            }
            rest = &rest[entry_end..];
        }
        if !rest.is_empty() {
            return Err(bad(format!("{} bytes after the last of {count} entries", rest.len()), "nothing there"));
        }
        Ok(Self { origin, bytes, entries })
    }

    fn names(&self) -> Vec<String> {
        self.entries.keys().map(|n| array_name(n)).collect()
    }

    /// The contents of an array's file, or `None` where there is none. Takes its size from `budget`.
    fn entry(&self, name: &str, budget: &mut u64) -> Result<Option<Cow<'a, [u8]>>, WorkloadError> {
        let Some(entry) = self.entries.get(&format!("{name}.npy")) else { return Ok(None) };
        let part = format!("npz entry {name}");
        let bad = |found: String, expected: &str| damaged(self.origin, &part, found, expected);
        if entry.flags & ENCRYPTED != 0 {
            return Err(bad("an encrypted entry".into(), "one that numpy wrote"));
        }
        if entry.bytes == u64::from(u32::MAX) || entry.packed_bytes == u64::from(u32::MAX) {
            return Err(bad("a zip64 entry".into(), "one below 4 GiB; larger traces as safetensors"));
        }
        if entry.bytes > *budget {
            return Err(WorkloadError::TooLarge {
                origin: self.origin.into(),
                what: format!("{part} after the arrays before it"),
                bytes: entry.bytes,
                limit: *budget,
            });
        }
        *budget -= entry.bytes;
        let local = self.bytes.get(entry.offset..).unwrap_or_default();
        if local.len() < LOCAL_BYTES || !local.starts_with(b"PK\x03\x04") {
            return Err(bad(format!("no local header at byte {}", entry.offset), "one where the directory says"));
        }
        // Name and extra field have their own lengths here; numpy reserves a zip64 field only here.
        let start = LOCAL_BYTES + usize::from(u16_at(local, 26)) + usize::from(u16_at(local, 28));
        // A local header whose own lengths reach beyond the file leaves nothing, even for an entry of 0 bytes.
        let packed = local.get(start..).unwrap_or_default();
        let Some(packed) = packed.get(..entry.packed_bytes as usize) else {
            return Err(bad(format!("{} bytes", packed.len()), &format!("{} (truncated?)", entry.packed_bytes)));
        };
        let data = match entry.method {
            STORED => Cow::Borrowed(packed),
            DEFLATED => {
                if entry.bytes / MAX_DEFLATE_RATIO > entry.packed_bytes {
                    let found = format!("{} bytes said to come from {}", entry.bytes, entry.packed_bytes);
                    return Err(bad(found, "at most 1032 times the compressed size"));
                }
                let mut data = Vec::new();
                // One byte beyond the stated size shows that it is a lie.
                let mut reader = flate2::read::DeflateDecoder::new(packed).take(entry.bytes + 1);
                reader
                    .read_to_end(&mut data)
                    .map_err(|e| bad(format!("damaged: {}", one_line(&e.to_string())), "a deflate stream"))?;
                Cow::Owned(data)
            }
            other => return Err(bad(format!("compression method {other}"), "0 (stored) or 8 (deflate)")),
        };
        if data.len() as u64 != entry.bytes {
            let more = if data.len() as u64 > entry.bytes { "at least " } else { "" };
            return Err(bad(format!("{more}{} bytes", data.len()), &format!("{}, as the directory says", entry.bytes)));
        }
        let mut crc = flate2::Crc::new();
        crc.update(&data);
        // A fuzzer does not guess checksums.
        if crc.sum() != entry.crc && !cfg!(fuzzing) {
            return Err(bad(format!("CRC-32 {:08x}", crc.sum()), &format!("{:08x}, as the directory says", entry.crc)));
        }
        Ok(Some(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_together_stay_below_the_limit() {
        // Entries may share their bytes, so the sum of their sizes is not bounded by the file.
        let entry = || Entry { flags: 0, method: STORED, crc: 0, packed_bytes: 0, bytes: 3 << 30, offset: 0 };
        let entries = BTreeMap::from([("q.npy".to_string(), entry()), ("k.npy".to_string(), entry())]);
        let archive = Archive { origin: "t", bytes: b"PK\x03\x04", entries };
        let mut budget = MAX_NPZ_BYTES;
        let first = archive.entry("q", &mut budget).unwrap_err().to_string();
        assert!(first.contains("no local header"), "{first}");
        let second = archive.entry("k", &mut budget).unwrap_err().to_string();
        let expected =
            "t: npz entry k after the arrays before it of 3221225472 bytes is too large, expected at most 1073741824";
        assert_eq!(second, expected);
    }
}
