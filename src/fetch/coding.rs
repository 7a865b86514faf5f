//! Content codings: at most one, undone here rather than by the HTTP library, which takes one line of several for the
//! whole and the first of a gzip file's members for all of them.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use brotli_decompressor::reader::DecompressorCustomAlloc;
use brotli_decompressor::{Allocator, StandardAlloc};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

use crate::model::Detail;

/// What is asked for.
pub const ACCEPTED: &str = "gzip, deflate, br, zstd";

/// The codings that exist (<https://www.iana.org/assignments/http-parameters>): others are not repeated in a detail,
/// because a server may send back there what it was sent.
const NAMES: [&str; 10] =
    ["aes128gcm", "br", "compress", "dcb", "dcz", "deflate", "gzip", "identity", "x-gzip", "zstd"];

/// What servers write where there is no coding: `identity`, which is never to be sent, nothing at all, or a character set,
/// which is something else. curl fails on the mistaken ones, browsers pass over them. They are passed over here, because
/// it is safe: the bytes have to be one JSON document as they came, which nothing coded is.
const NO_CODING: [&str; 5] = ["", "identity", "none", "utf-8", "utf8"];

/// The largest window of zstd, 8 MiB (RFC 9659), as a power of two.
const ZSTD_WINDOW: u32 = 23;
/// What is read at once.
const BUFFER: usize = 16 * 1024;
/// The largest block of memory for brotli that is given whatever the limit is.
const SMALL_BLOCK: usize = 64 * 1024;
/// What the decoder of brotli takes beyond what it decodes, at most.
const BROTLI_SLACK: usize = 4 * 1024;

/// How a body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 1950, or RFC 1951 as some servers understand it.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// The coding that all lines of the header together name.
    ///
    /// # Errors
    /// More than one, or one that was not asked for.
    pub fn of(headers: &HeaderMap) -> Result<Self, Detail> {
        if !headers.contains_key(CONTENT_ENCODING) {
            return Ok(Self::Identity);
        }
        let lines = headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let names: Vec<String> = lines
            .flat_map(|line| line.split(',').map(|name| name.trim().to_ascii_lowercase()).collect::<Vec<_>>())
            .filter(|name| !NO_CODING.contains(&name.as_str()))
            .collect();
        match names.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] => Ok(Self::Identity),
            ["gzip" | "x-gzip"] => Ok(Self::Gzip),
            ["deflate"] => Ok(Self::Deflate),
            ["br"] => Ok(Self::Brotli),
            ["zstd"] => Ok(Self::Zstd),
            others if others.iter().all(|name| NAMES.contains(name)) => {
                Err(Detail::new(format!("content coding: {}", names.join(", "))))
            }
            _ => Err(Detail::new("content coding: unknown")),
        }
    }

    /// Reads `source` to its end, or to `limit` bytes of what it decodes to.
    ///
    /// # Errors
    /// When the source breaks off, or does not decode to its last byte; [`Oversized`] when it announces `limit` bytes or more.
    pub fn read(self, source: impl Read, limit: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        if self == Self::Identity {
            return source.take(limit).read_to_end(bytes).map(|_| ());
        }
        self.decode(source, limit, bytes)
    }

    /// Apart, because the decoders take 50 KiB of each worker's stack, which most never need.
    #[inline(never)]
    fn decode(self, mut source: impl Read, limit: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        // However few bytes come at once.
        let mut start = Vec::with_capacity(2);
        source.by_ref().take(2).read_to_end(&mut start)?;
        if start.is_empty() {
            // Nothing is nothing, whatever it is said to be coded in.
            return Ok(());
        }
        let mut source = BufReader::with_capacity(BUFFER, start.as_slice().chain(source));
        let decoder: &mut dyn Read = match self {
            Self::Identity => &mut source,
            Self::Gzip => &mut MultiGzDecoder::new(&mut source),
            Self::Deflate if is_zlib(&start) => &mut ZlibDecoder::new(&mut source),
            Self::Deflate => &mut DeflateDecoder::new(&mut source),
            Self::Brotli => return brotli(source, limit, bytes),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(&mut source)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                &mut Box::new(decoder)
            }
        };
        decoder.take(limit).read_to_end(bytes)?;
        let whole = (bytes.len() as u64) < limit;
        if whole && !source.fill_buf()?.is_empty() {
            return Err(behind_the_end());
        }
        Ok(())
    }
}

/// Undoes brotli. Its decoder makes room at once for what is announced, up to 16 MiB: for no more than may come here.
fn brotli(source: impl BufRead, limit: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let largest = usize::try_from(limit.saturating_sub(1)).unwrap_or(usize::MAX).checked_next_power_of_two();
    let largest = largest.unwrap_or(usize::MAX).max(SMALL_BLOCK).saturating_add(BROTLI_SLACK);
    let refused = Rc::new(Cell::new(false));
    let blocks = BoundedAlloc { largest, refused: Rc::clone(&refused), inner: StandardAlloc::default() };
    let buffer = <StandardAlloc as Allocator<u8>>::alloc_cell(&mut StandardAlloc::default(), BUFFER);
    let (numbers, codes) = (StandardAlloc::default(), StandardAlloc::default());
    let mut decoder = DecompressorCustomAlloc::new(source, buffer, blocks, numbers, codes);
    let mut read = || {
        decoder.by_ref().take(limit).read_to_end(bytes)?;
        // Only once more asked does it say that there is something behind the end.
        if (bytes.len() as u64) < limit && (decoder.read(&mut [0])? > 0 || !decoder.get_mut().fill_buf()?.is_empty()) {
            return Err(behind_the_end());
        }
        Ok(())
    };
    let result = read();
    if refused.get() { Err(Oversized.into()) } else { result }
}

fn behind_the_end() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "bytes after the compressed data")
}

/// A body is, or announces to be, larger than what is read of it.
#[derive(Debug, thiserror::Error)]
#[error("it is more than is read")]
pub struct Oversized;

impl From<Oversized> for io::Error {
    fn from(oversized: Oversized) -> Self {
        Self::new(io::ErrorKind::FileTooLarge, oversized)
    }
}

impl Oversized {
    /// Whether that is what `error` says.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>)
    }
}

/// Gives no block that is larger than `largest`.
struct BoundedAlloc {
    largest: usize,
    refused: Rc<Cell<bool>>,
    inner: StandardAlloc,
}

impl Allocator<u8> for BoundedAlloc {
    type AllocatedMemory = <StandardAlloc as Allocator<u8>>::AllocatedMemory;

    fn alloc_cell(&mut self, length: usize) -> Self::AllocatedMemory {
        if length > self.largest {
            self.refused.set(true);
            return Self::AllocatedMemory::default();
        }
        self.inner.alloc_cell(length)
    }

    fn free_cell(&mut self, block: Self::AllocatedMemory) {
        self.inner.free_cell(block);
    }
}

/// Whether deflated data has zlib's header, as it should.
fn is_zlib(start: &[u8]) -> bool {
    matches!(start, [method, flags, ..] if method & 0x0F == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, ZlibEncoder};

    use super::*;

    /// Gives one byte at a time, as a slow server does.
    struct Drip<'b>(&'b [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }

    /// `{"a":1}` with a window of 64 KiB, as RFC 7932 lets it be written without compression.
    const BROTLI: &[u8] = b"\x60\x00\x10{\"a\":1}\x03";

    #[test]
    fn brotli_ends_where_its_last_block_does() {
        let read = |coded: &[u8]| {
            let mut bytes = Vec::new();
            Coding::Brotli.read(Drip(coded), 100, &mut bytes).map(|()| bytes)
        };
        assert_eq!(read(BROTLI).expect("decoded"), b"{\"a\":1}");
        for behind in [b" ".as_slice(), b"<html>", BROTLI] {
            assert!(read(&[BROTLI, behind].concat()).is_err());
            let mut bytes = Vec::new();
            assert!(Coding::Brotli.read([BROTLI, behind].concat().as_slice(), 100, &mut bytes).is_err());
        }
    }

    #[test]
    fn brotli_gets_no_room_for_more_than_may_come() {
        // A window and a block of 16 MiB, of which one byte is there.
        let announced = b"\xCF\xFF\xFF\xFFx";
        let read = |limit| Coding::Brotli.read(announced.as_slice(), limit, &mut Vec::new()).expect_err("not whole");
        assert!(Oversized::is(&read(1024 * 1024 + 1)));
        assert!(!Oversized::is(&read(16 * 1024 * 1024 + 1)), "it would fit, and breaks off");
    }

    #[test]
    fn deflate_is_known_by_its_header_however_few_bytes_come_at_once() {
        let text = b"{\"a\": [1, 2, 3]}";
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(text).expect("memory");
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(text).expect("memory");
        for coded in [zlib.finish().expect("memory"), raw.finish().expect("memory")] {
            let mut bytes = Vec::new();
            Coding::Deflate.read(Drip(&coded), 100, &mut bytes).expect("decoded");
            assert_eq!(bytes, text);
        }
    }
}
