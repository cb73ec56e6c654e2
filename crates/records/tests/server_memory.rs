//! The series of a long point take no more memory while they are written than those of a short one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_records::{ResultsFolder, ServerRow};
use plimsoll_units::RunNanos;

/// Bytes in use, and the most of them since the last [`peak_of`].
static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts the bytes that are in use.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came; counting touches no memory of it. What
// grows or shrinks goes through `alloc` and `dealloc`, as the trait does by itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes that `work` had in use above those before it.
fn peak_of(work: impl FnOnce()) -> usize {
    let before = USED.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work();
    PEAK.load(Ordering::Relaxed).saturating_sub(before)
}

/// The rows of a server with 740 series, page by page, 100 ms apart.
fn rows(pages: u64) -> impl Iterator<Item = ServerRow> {
    (0..pages).flat_map(|page| {
        (0..740_u64).map(move |series| ServerRow {
            at: RunNanos::from_nanos(page * 100_000_000),
            name: format!("vllm:request_phase_{}_time_seconds_bucket", series / 20),
            labels: format!("engine=\"0\",model_name=\"m\",le=\"{}\"", series % 20),
            value: (page * (series + 1)) as f64,
        })
    })
}

const MB: usize = 1 << 20;

#[test]
fn memory_is_that_of_a_batch_however_many_rows_there_are() {
    let root = tempfile::tempdir().unwrap();
    let point = ResultsFolder::create(root.path(), "run").unwrap().point("p").unwrap();
    // Both are more than a row group of the file, which the writer fills in memory.
    let [short, long] =
        [400, 1_200].map(|pages| peak_of(|| point.write_server(rows(pages)).unwrap()));
    let collected = peak_of(|| drop(rows(1_200).collect::<Vec<_>>()));
    println!("peak: {short} bytes, of three times the rows {long}, of all in a list {collected}");
    assert!(long < short + 4 * MB, "{short} bytes, of three times the rows {long}");
    assert!(long < 32 * MB, "{long} bytes");
    // The control: what this test would see if the rows were gathered first.
    assert!(collected > 2 * long, "{collected} bytes in a list, {long} written");
}
