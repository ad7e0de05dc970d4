//! Bytes to serve, made from a seed.

use bytes::Bytes;

/// A blob's bytes: held, or made when they are asked for, so that a blob may be larger than memory.
#[derive(Clone)]
pub enum Content {
    Held(Bytes),
    Noise { seed: u64, len: u64 },
}

impl Content {
    pub fn len(&self) -> u64 {
        match self {
            Self::Held(bytes) => bytes.len() as u64,
            Self::Noise { len, .. } => *len,
        }
    }

    pub fn slice(&self, start: u64, end: u64) -> Bytes {
        match self {
            Self::Held(bytes) => bytes.slice(start as usize..end as usize),
            Self::Noise { seed, .. } => noise_range(*seed, start, end),
        }
    }
}

/// `len` bytes that nothing compresses and that differ at every offset and for every seed.
pub fn noise(seed: u64, len: usize) -> Bytes {
    noise_range(seed, 0, len as u64)
}

pub fn noise_range(seed: u64, start: u64, end: u64) -> Bytes {
    let first = start / 8;
    let mut out = Vec::with_capacity((end - first * 8) as usize + 8);
    for word in first..end.div_ceil(8) {
        out.extend_from_slice(&mix(seed, word).to_le_bytes());
    }
    Bytes::from(out).slice((start - first * 8) as usize..(end - first * 8) as usize)
}

fn mix(seed: u64, index: u64) -> u64 {
    let mut z = (seed << 40 ^ index).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

pub fn sha256(bytes: &[u8]) -> String {
    hex_digest("sha256", &aws_lc_rs::digest::SHA256, bytes)
}

pub fn sha512(bytes: &[u8]) -> String {
    hex_digest("sha512", &aws_lc_rs::digest::SHA512, bytes)
}

fn hex_digest(name: &str, algorithm: &'static aws_lc_rs::digest::Algorithm, bytes: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(algorithm, bytes);
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}:{hex}")
}

/// A gzip file that holds `bytes` without compressing them (RFC 1952, RFC 1951 section 3.2.4).
pub fn gzip(bytes: &[u8]) -> Bytes {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(0xffff).peekable();
    if blocks.peek().is_none() {
        out.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let len = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&crc32(bytes).to_le_bytes());
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.into()
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
