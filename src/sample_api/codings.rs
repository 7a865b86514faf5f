//! Compressed bodies, written by hand: honest ones are stored without being compressed, and a bomb needs
//! no more than one repetition. So no compression library is needed here.

use super::modes::Call;
use super::respond::{After, JSON, answer_with};

const DOCUMENT: &[u8] = br#"{"users":48210,"sessions":1893,"compressed":true}"#;

const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// How often `/gzip-bomb` repeats 258 spaces: 10 MiB and some.
pub(super) const GZIP_REPEATS: u32 = 41_000;
/// The checksum of what `/gzip-bomb` unpacks to; a test computes it.
pub(super) const GZIP_BOMB_CRC: u32 = 0x6ba7_472c;
/// 128 KiB, as a power of two.
const ZSTD_WINDOW: u8 = 17;
/// 128 KiB each: 1 GiB.
const ZSTD_BLOCKS: u32 = 8_192;
/// 16 MiB each: 1 GiB.
const BROTLI_BLOCKS: u32 = 64;

pub(super) fn gzip(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    coded(out, "gzip", &gzip_stored(DOCUMENT))
}

pub(super) fn deflate(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    let mut body = vec![0x78, 0x01];
    stored_block(DOCUMENT, &mut body);
    body.extend_from_slice(&adler32(DOCUMENT).to_be_bytes());
    coded(out, "deflate", &body)
}

/// Deflate without zlib's frame, as some servers understand the word.
pub(super) fn deflate_raw(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    let mut body = Vec::new();
    stored_block(DOCUMENT, &mut body);
    coded(out, "deflate", &body)
}

/// The document in two members of one gzip file (RFC 1952, section 2.2).
pub(super) fn gzip_members(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    let (start, end) = DOCUMENT.split_at(20);
    coded(out, "gzip", &[gzip_stored(start), gzip_stored(end)].concat())
}

pub(super) fn gzip_trailing(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    coded(out, "gzip", &[gzip_stored(DOCUMENT).as_slice(), b"more"].concat())
}

pub(super) fn unknown_coding(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    coded(out, "lzma", DOCUMENT)
}

pub(super) fn brotli(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    let mut bits = Bits::default();
    bits.put(0, 1);
    brotli_stored(DOCUMENT, &mut bits);
    bits.put(0b11, 2);
    coded(out, "br", &bits.finish())
}

pub(super) fn zstd(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    let mut body = zstd_head(ZSTD_WINDOW);
    zstd_stored(DOCUMENT, true, &mut body);
    coded(out, "zstd", &body)
}

/// A frame whose decoder needs 128 MiB, where HTTP allows 8 (RFC 9659).
pub(super) fn zstd_window(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    let mut body = zstd_head(27);
    zstd_stored(DOCUMENT, true, &mut body);
    coded(out, "zstd", &body)
}

pub(super) fn gzip_bomb(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    let mut body = GZIP_HEAD.to_vec();
    body.extend_from_slice(&deflate_spaces());
    body.extend_from_slice(&GZIP_BOMB_CRC.to_le_bytes());
    body.extend_from_slice(&(GZIP_REPEATS * 258 + 3).to_le_bytes());
    coded(out, "gzip", &body)
}

/// Its checksum is missing, which nobody should come to know.
pub(super) fn deflate_bomb(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    coded(out, "deflate", &[&[0x78, 0x01], deflate_spaces().as_slice()].concat())
}

/// A deflate stream of 10 MiB of spaces between quotes.
fn deflate_spaces() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(0b011, 3);
    bits.put_code(0x30 + u32::from(b'"'), 8);
    bits.put_code(0x30 + u32::from(b' '), 8);
    for _ in 0..GZIP_REPEATS {
        // "258 bytes from one byte back", in the codes that deflate calls fixed.
        bits.put_code(0xc5, 8);
        bits.put_code(0, 5);
    }
    bits.put_code(0x30 + u32::from(b'"'), 8);
    bits.put_code(0, 7);
    bits.finish()
}

pub(super) fn brotli_bomb(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    let mut bits = Bits::default();
    bits.put(0, 1);
    brotli_stored(b"\"", &mut bits);
    for _ in 0..BROTLI_BLOCKS {
        brotli_spaces(&mut bits);
    }
    brotli_stored(b"\"", &mut bits);
    bits.put(0b11, 2);
    coded(out, "br", &bits.finish())
}

pub(super) fn zstd_bomb(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    let mut body = zstd_head(ZSTD_WINDOW);
    zstd_stored(b"\"", false, &mut body);
    for _ in 0..ZSTD_BLOCKS {
        let repeat = (128 * 1024) << 3 | 0b010_u32;
        body.extend_from_slice(&repeat.to_le_bytes()[..3]);
        body.push(b' ');
    }
    zstd_stored(b"\"", true, &mut body);
    coded(out, "zstd", &body)
}

pub(super) fn gzip_broken(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    let mut body = gzip_stored(DOCUMENT);
    // A block of the type that deflate reserves.
    body[10] = 0b111;
    coded(out, "gzip", &body)
}

pub(super) fn gzip_checksum(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    let mut body = gzip_stored(DOCUMENT);
    let checksum = body.len() - 8;
    body[checksum] ^= 0xff;
    coded(out, "gzip", &body)
}

pub(super) fn gzip_truncated(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    let body = gzip_stored(DOCUMENT);
    coded(out, "gzip", &body[..body.len() / 2])
}

pub(super) fn not_gzip(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    coded(out, "gzip", DOCUMENT)
}

pub(super) fn double_encoding(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    coded(out, "gzip, gzip", &gzip_stored(&gzip_stored(DOCUMENT)))
}

fn coded(out: &mut Vec<u8>, coding: &str, body: &[u8]) -> After {
    answer_with(out, 200, format_args!("Content-Type: {JSON}\r\nContent-Encoding: {coding}\r\n"), body)
}

/// `data`, of less than 64 KiB, in a gzip file.
fn gzip_stored(data: &[u8]) -> Vec<u8> {
    let mut file = GZIP_HEAD.to_vec();
    stored_block(data, &mut file);
    file.extend_from_slice(&crc32(data.iter().copied()).to_le_bytes());
    file.extend_from_slice(&length(data).to_le_bytes());
    file
}

/// The last and only block of a deflate stream, not compressed.
fn stored_block(data: &[u8], out: &mut Vec<u8>) {
    let size = length(data);
    out.push(1);
    out.extend_from_slice(&size.to_le_bytes()[..2]);
    out.extend_from_slice(&(!size).to_le_bytes()[..2]);
    out.extend_from_slice(data);
}

/// A brotli meta-block that is not compressed. The stream's first bit comes before it.
fn brotli_stored(data: &[u8], bits: &mut Bits) {
    bits.put(0, 1); // not the last
    bits.put(0, 2); // the length takes 16 bits
    bits.put(length(data) - 1, 16);
    bits.put(1, 1);
    bits.align();
    bits.bytes.extend_from_slice(data);
}

/// A brotli meta-block of 16 MiB of spaces: alphabets of one symbol each, whose codes take no bits,
/// and a single command that inserts as many literals as the block is long.
fn brotli_spaces(bits: &mut Bits) {
    const SIZE: u32 = 16 << 20;
    bits.put(0, 1); // not the last
    bits.put(2, 2); // the length takes 24 bits
    bits.put(SIZE - 1, 24);
    bits.put(0, 1); // compressed
    bits.put(0, 3); // one block type for literals, for commands, for distances
    bits.put(0, 6); // distances have neither postfix nor direct codes
    bits.put(0, 2); // a context mode, not used
    bits.put(0, 2); // one tree for literals, one for distances
    for (symbol, width) in [(u32::from(b' '), 8), (504, 10), (0, 6)] {
        bits.put(1, 2); // a simple code
        bits.put(0, 2); // of one symbol
        bits.put(symbol, width);
    }
    bits.put(SIZE - 22_594, 24); // command 504 inserts 22,594 literals and this many more
}

/// A zstd frame of unknown size with a window of 2 to the power of `window_log`, which is at least 10.
fn zstd_head(window_log: u8) -> Vec<u8> {
    vec![0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3]
}

fn zstd_stored(data: &[u8], last: bool, out: &mut Vec<u8>) {
    let head = length(data) << 3 | u32::from(last);
    out.extend_from_slice(&head.to_le_bytes()[..3]);
    out.extend_from_slice(data);
}

/// The documents here are short.
fn length(data: &[u8]) -> u32 {
    u32::try_from(data.len()).unwrap_or(u32::MAX)
}

pub(super) fn crc32(data: impl Iterator<Item = u8>) -> u32 {
    !data.fold(u32::MAX, |crc, byte| {
        let mut crc = crc ^ u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
        crc
    })
}

fn adler32(data: &[u8]) -> u32 {
    let (low, high) = data.iter().fold((1, 0), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    high << 16 | low
}

/// Writes bits, the lowest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, width: u32) {
        self.pending |= u64::from(value) << self.count;
        self.count += width;
        while self.count >= 8 {
            self.bytes.push(self.pending.to_le_bytes()[0]);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// A Huffman code of deflate, whose highest bit goes first.
    fn put_code(&mut self, code: u32, width: u32) {
        self.put(code.reverse_bits() >> (32 - width), width);
    }

    fn align(&mut self) {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.align();
        self.bytes
    }
}
