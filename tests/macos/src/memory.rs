//! The harness's own memory, apart from the program's, so that both can be told.
//!
//! Whatever Rust code of the harness allocates (messages, poisoned ones, measurements, the parsed Mach-O) lies in one
//! mapping of its own. What the program allocates goes to the host's `malloc` and `mmap`, as do the few blocks that a
//! stand-in gives the program to free, and the stacks of all threads.

use dlmalloc::{Allocator, Dlmalloc};
use std::alloc::{GlobalAlloc, Layout};
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much the harness may allocate, in bytes: addresses only, until something is written to them.
const SIZE: usize = 1 << 30;

/// Where the mapping begins; 0 before it is made.
static START: AtomicUsize = AtomicUsize::new(0);

/// Where in it nothing is handed out yet.
static USED: AtomicUsize = AtomicUsize::new(0);

/// The addresses of the harness's own memory.
pub(crate) fn own() -> Range<usize> {
    let start = START.load(Ordering::Relaxed);
    start..start + SIZE
}

/// The harness's allocator.
pub(crate) struct OwnMemory(Mutex<Dlmalloc<Mapping>>);

impl OwnMemory {
    /// For `#[global_allocator]`, once.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Dlmalloc::new_with_allocator(Mapping)))
    }

    fn locked(&self) -> MutexGuard<'_, Dlmalloc<Mapping>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: each call is passed on to dlmalloc as it came, and locking neither allocates nor unwinds.
unsafe impl GlobalAlloc for OwnMemory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.locked().malloc(layout.size(), layout.align())
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.locked().free(memory, layout.size(), layout.align());
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.locked().calloc(layout.size(), layout.align())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.locked().realloc(memory, layout.size(), layout.align(), size)
    }
}

/// The mapping that dlmalloc takes pieces of, one after the other; it gives none back.
struct Mapping;

// SAFETY: pieces do not overlap, are zero, and stay.
unsafe impl Allocator for Mapping {
    /// Called under the allocator's lock only.
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        const NONE: (*mut u8, usize, u32) = (ptr::null_mut(), 0, 0);
        if START.load(Ordering::Relaxed) == 0 {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            // SAFETY: a new mapping, which replaces none.
            let mapped = unsafe {
                libc::mmap(ptr::null_mut(), SIZE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
            };
            if mapped == libc::MAP_FAILED {
                return NONE;
            }
            START.store(mapped.addr(), Ordering::Relaxed);
        }
        let used = USED.load(Ordering::Relaxed);
        if size > SIZE - used {
            return NONE;
        }
        USED.store(used + size, Ordering::Relaxed);
        (ptr::with_exposed_provenance_mut(START.load(Ordering::Relaxed) + used), size, 0)
    }

    fn remap(&self, _memory: *mut u8, _old: usize, _new: usize, _can_move: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, _memory: *mut u8, _old: usize, _new: usize) -> bool {
        false
    }

    fn free(&self, _memory: *mut u8, _size: usize) -> bool {
        false
    }

    fn can_release_part(&self, _flags: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        4096
    }
}

/// What is resident, in KiB.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Resident {
    /// The image, all of it: it is copied into memory here, while a Mac reads the pages of it that are used.
    pub(crate) image: u64,
    /// The program's heap, and every thread's stack.
    pub(crate) heap: u64,
    /// The harness's own memory.
    pub(crate) harness: u64,
    /// The loader's executable and the host's libraries.
    pub(crate) loader: u64,
}

/// What is resident, by `/proc/self/smaps`; nothing where there is none.
pub(crate) fn resident(image: &Range<usize>) -> Resident {
    classified(&std::fs::read_to_string("/proc/self/smaps").unwrap_or_default(), image, &own())
}

/// proc(5): a mapping's line, `START-END PERMISSIONS OFFSET DEVICE INODE [PATH]`, and then lines of what it has.
fn classified(smaps: &str, image: &Range<usize>, own: &Range<usize>) -> Resident {
    let mut all = Resident::default();
    let (mut start, mut of_a_file) = (0, false);
    for line in smaps.lines() {
        if let Some(kib) = line.strip_prefix("Rss:") {
            let kib: u64 = kib.trim().trim_end_matches(" kB").parse().unwrap_or(0);
            let class = match start {
                _ if image.contains(&start) => &mut all.image,
                _ if own.contains(&start) => &mut all.harness,
                _ if of_a_file => &mut all.loader,
                _ => &mut all.heap,
            };
            *class += kib;
        } else if let Some((first, _)) = line.split_once('-')
            && let Ok(address) = usize::from_str_radix(first, 16)
        {
            start = address;
            of_a_file = line.split_ascii_whitespace().nth(5).is_some_and(|path| path.starts_with('/'));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_harness_allocates_is_its_own_and_what_malloc_gives_is_not() {
        let own_block = vec![1_u8; 100_000];
        // SAFETY: a block that is looked at by its address only, and freed.
        let address = unsafe {
            let block = libc::malloc(100_000);
            libc::free(block);
            block.addr()
        };
        assert!(own().contains(&own_block.as_ptr().addr()));
        assert!(!own().contains(&address));
    }

    #[test]
    fn memory_that_is_given_back_is_used_again() {
        let before = USED.load(Ordering::Relaxed);
        for size in (1..300).map(|size| size * 10_000) {
            let mut bytes = vec![0xdd_u8; size];
            bytes.reserve_exact(size);
            assert_eq!((bytes[0], bytes[size - 1]), (0xdd, 0xdd));
        }
        // Without that it were more than a gigabyte; other tests run beside.
        assert!(USED.load(Ordering::Relaxed) - before < 64 << 20);
    }

    #[test]
    fn mappings_are_told_apart() {
        let smaps = "\
100000000-100800000 r-xp 00000000 00:00 0 \n\
Size:               8192 kB\nRss:                8192 kB\nVmFlags: rd ex mr mw me\n\
55d0c0000000-55d0c0200000 r-xp 00001000 fe:00 123                        /opt/the loader\nRss:                 900 kB\n\
55d0c1000000-55d0c1200000 rw-p 00000000 00:00 0                          [heap]\nRss:                2000 kB\n\
7f0000000000-7f0040000000 rw-p 00000000 00:00 0 \nRss:               30000 kB\n\
7f0050000000-7f0050100000 rw-p 00000000 00:00 0 \nRss:                  16 kB\n\
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]\nRss:                  24 kB\n";
        let own = 0x7f00_0000_0000..0x7f00_4000_0000;
        let Resident { image, heap, harness, loader } =
            classified(smaps, &(0x1_0000_0000..0x1_0080_0000), &own);
        assert_eq!([image, heap, harness, loader], [8192, 2040, 30_000, 900]);
    }
}
