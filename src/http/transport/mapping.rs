//! Parts of files that look like memory, and finding the file behind an address.
//!
//! All `unsafe` code of the transport is here: mapping a file, and asking the kernel which pages it holds.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use memmap2::{Mmap, MmapOptions};

use crate::oci::ByteRange;

/// Bytes of a file that are mapped at a time. An upstream may announce any length, and addresses have an end as well.
pub(super) const WINDOW_BYTES: u64 = 16 << 20;

/// Mappings of the process at a time. The kernel allows 65,530 (`vm.max_map_count`), of which allocators and stacks need some:
/// without one of theirs the process ends.
const MAX_MAPPINGS: usize = 16 << 10;

static MAPPINGS: AtomicUsize = AtomicUsize::new(0);

/// The mappings that one connection's bodies are made of. Cheap to clone.
#[derive(Clone, Default)]
pub struct FileRegions {
    regions: Arc<Mutex<Vec<Region>>>,
}

/// Addresses `base..base + len` are bytes `offset..offset + len` of the file.
struct Region {
    base: usize,
    len: usize,
    offset: u64,
    file: Arc<File>,
}

/// Where a slice of memory lies in a file.
pub(super) struct Located {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
}

impl FileRegions {
    /// Maps a range of the file, which is within [`WINDOW_BYTES`]. The memory is registered for as long as any slice of it lives. Fails
    /// where the process has as many mappings as it may.
    ///
    /// The range may reach past the present end of a file that is growing; what has not arrived must not be sliced off.
    pub(super) fn map(&self, file: &Arc<File>, range: ByteRange) -> io::Result<Bytes> {
        let place = MapPlace::take().ok_or(io::ErrorKind::OutOfMemory)?;
        let len = usize::try_from(range.len().min(WINDOW_BYTES)).map_err(io::Error::other)?;
        // SAFETY: a shared read-only mapping is sound as long as nobody changes the bytes that are read through it. Blobs
        // are immutable once they are published, and a file that is being filled is only ever appended to, below which
        // readers stay; neither is ever truncated. A disk that fails would raise SIGBUS on reading, but on a connection
        // that can send files the pages are not read: their addresses are all that is used. Another process that
        // truncates our files has write access to our data folder and could do worse.
        let map = unsafe { MmapOptions::new().offset(range.start).len(len).map(&**file)? };
        let region = Region { base: map.as_ptr() as usize, len, offset: range.start, file: file.clone() };
        self.lock().push(region);
        Ok(Bytes::from_owner(Mapped { map, regions: self.clone(), _place: place }))
    }

    /// The place in a file of the memory that begins at `slice` and lies within one mapping.
    pub(super) fn locate(&self, slice: &[u8]) -> Option<Located> {
        let address = slice.as_ptr() as usize;
        let regions = self.lock();
        let region = regions
            .iter()
            .find(|region| address.checked_sub(region.base).is_some_and(|within| within + slice.len() <= region.len))?;
        Some(Located { file: region.file.clone(), offset: region.offset + (address - region.base) as u64 })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Region>> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A mapping that leaves the register when its last slice goes.
struct Mapped {
    map: Mmap,
    regions: FileRegions,
    /// Given back after the mapping has gone.
    _place: MapPlace,
}

/// One of the mappings that the process may have.
struct MapPlace;

impl MapPlace {
    fn take() -> Option<Self> {
        let taken = MAPPINGS.fetch_add(1, Ordering::Relaxed);
        let place = Self;
        (taken < MAX_MAPPINGS).then_some(place)
    }
}

impl Drop for MapPlace {
    fn drop(&mut self) {
        MAPPINGS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // Deregistered before it is unmapped (the field is dropped after this), so no other memory can have the address.
        let base = self.map.as_ptr() as usize;
        self.regions.lock().retain(|region| region.base != base);
    }
}

#[repr(C)]
struct CachestatRange {
    off: u64,
    len: u64,
}

#[repr(C)]
#[derive(Default)]
struct Cachestat {
    nr_cache: u64,
    nr_dirty: u64,
    nr_writeback: u64,
    nr_evicted: u64,
    nr_recently_evicted: u64,
}

/// `cachestat(2)`, Linux 6.5; the number is the same on every architecture.
const SYS_CACHESTAT: libc::c_long = 451;

/// Pages of the range that the kernel holds; `None` where it cannot tell.
pub(super) fn resident_pages(file: &File, range: ByteRange) -> Option<u64> {
    let asked = CachestatRange { off: range.start, len: range.len() };
    let mut answer = Cachestat::default();
    // SAFETY: both pointers are to live values of the layout that the system call has for them (`struct cachestat_range`,
    // `struct cachestat` of linux/mman.h), the descriptor is open for as long as `file` is borrowed, and flags must be 0.
    let result =
        unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &raw const asked, &raw mut answer, 0 as libc::c_uint) };
    (result == 0).then_some(answer.nr_cache)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_have_a_number() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        file.set_len(WINDOW_BYTES).unwrap();
        let range = ByteRange { start: 0, end: 4096 };
        let map = || FileRegions::default().map(&file, range);
        let held: Vec<_> = (0..=MAX_MAPPINGS).map_while(|_| map().ok()).collect();
        // Other tests have some of them.
        assert!((MAX_MAPPINGS / 2..=MAX_MAPPINGS).contains(&held.len()), "{}", held.len());
        assert!(map().is_err());
        drop(held);
        assert!(map().is_ok());
    }
}
