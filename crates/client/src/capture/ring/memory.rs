//! The memory that the kernel and this process share, and who owns which block of it.

use std::io;
use std::mem::offset_of;
use std::os::fd::AsRawFd as _;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::libc;

use super::socket::PacketSocket;

/// Where a block says whose it is.
const STATUS: usize =
    offset_of!(libc::tpacket_block_desc, hdr) + offset_of!(libc::tpacket_hdr_v1, block_status);

/// The mapped ring.
#[derive(Debug)]
pub(super) struct Memory {
    start: NonNull<u8>,
    blocks: usize,
    block_bytes: usize,
}

// SAFETY: the mapping belongs to this value alone and is tied to no thread.
unsafe impl Send for Memory {}

impl Memory {
    /// Maps the ring that was made for `socket`.
    pub(super) fn map(
        socket: &PacketSocket,
        blocks: usize,
        block_bytes: usize,
    ) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use; the
        // descriptor is open.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                blocks * block_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, blocks, block_bytes })
    }

    pub(super) const fn blocks(&self) -> usize {
        self.blocks
    }

    /// Lets `look` see block `index` and gives it back, if the kernel has handed it over. Returns
    /// whether it had.
    pub(super) fn take(&mut self, index: usize, look: impl FnOnce(&[u8])) -> bool {
        assert!(index < self.blocks, "block {index} of {}", self.blocks);
        // SAFETY: the block lies inside the mapping, by the assertion.
        let block = unsafe { self.start.add(index * self.block_bytes) };
        // SAFETY: the status is a naturally aligned word of the block (blocks begin at page
        // boundaries) and the mapping lives as long as `self`. The kernel may write it at any time, and
        // does so as one word; here it is reached through this atomic alone while that can happen.
        let status = unsafe { AtomicU32::from_ptr(block.add(STATUS).cast().as_ptr()) };
        // Pairs with the kernel's barrier before it hands the block over.
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return false;
        }
        // SAFETY: the kernel does not write to a block that it has handed over until its status is
        // set back, which happens below, after the slice is gone; `&mut self` keeps others away.
        look(unsafe { std::slice::from_raw_parts(block.as_ptr(), self.block_bytes) });
        // Pairs with the kernel's barrier after it finds the block given back.
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        true
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and nothing refers to it any more.
        // A failure would leak it, which is all that can be done.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.blocks * self.block_bytes) };
    }
}
