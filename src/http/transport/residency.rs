//! Never letting a disk hold up a thread that serves.
//!
//! `sendfile` of bytes that the kernel does not hold reads the disk there and then, and every other connection of that
//! thread waits. So before a slice is given to the connection, the kernel is asked whether it has it; if not, a blocking
//! thread brings it in.

use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;

use rustix::fs::Advice;

use super::mapping::resident_pages;
use crate::oci::ByteRange;

const PAGE_BYTES: u64 = 4096;

/// Bytes asked for beyond a slice that had to be brought in: whoever reads it will read on.
const READ_AHEAD_BYTES: u64 = 4 << 20;

/// Distance of the probes that wait for the disk.
const PROBE_BYTES: u64 = 64 << 10;

/// Whether the kernel holds all of the range. Where it cannot tell, yes: the fallback is a slower thread, not an error.
pub(super) fn is_resident(file: &File, range: ByteRange) -> bool {
    let first = range.start / PAGE_BYTES;
    let last = range.end.div_ceil(PAGE_BYTES);
    match resident_pages(file, range) {
        Some(pages) => pages >= last - first,
        None => probe_without_waiting(file, range),
    }
}

/// Brings the range in, and asks for what follows. Blocks on the disk.
pub(super) fn bring_in(file: &File, range: ByteRange) -> std::io::Result<()> {
    let ahead = NonZeroU64::new(range.len() + READ_AHEAD_BYTES);
    // Advice only: where it is not taken, the probes read.
    let _ = rustix::fs::fadvise(file, range.start, ahead, Advice::WillNeed);
    let mut byte = [0];
    let mut at = range.start;
    while at < range.end {
        file.read_exact_at(&mut byte, at)?;
        at += PROBE_BYTES;
    }
    file.read_exact_at(&mut byte, range.end - 1)
}

fn probe_without_waiting(file: &File, range: ByteRange) -> bool {
    [range.start, range.start + range.len() / 2, range.end - 1].into_iter().all(|at| {
        let mut byte = [0];
        let mut buffers = [std::io::IoSliceMut::new(&mut byte)];
        !matches!(
            rustix::io::preadv2(file, &mut buffers, at, rustix::io::ReadWriteFlags::NOWAIT),
            Err(rustix::io::Errno::AGAIN)
        )
    })
}
