//! Streams that stop anywhere, each at its own place: what a machine that lost power may leave.

use std::sync::LazyLock;

use plimsoll_records::{PointWriter, ResultsFolder, read_point};
use proptest::prelude::*;

use crate::sample;

/// Both streams of a point of 3,000 requests: three batches.
static STREAMS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let root = tempfile::tempdir().unwrap();
    let folder = ResultsFolder::create(root.path(), "run").unwrap();
    let point = folder.point("p").unwrap();
    let writer = PointWriter::create(&point, |_| {}).unwrap();
    let mut sender = writer.sender();
    (0..3_000).for_each(|id| sender.send(sample::row(id)));
    sender.close();
    drop(writer);
    ["requests.arrows", "tokens.arrows"].map(|name| std::fs::read(point.path().join(name)).unwrap())
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is cut off either stream, the rows read are the first of those written, in order;
    /// each has its chunks or is named as short of them; and chunks without request are counted.
    #[test]
    fn two_streams_cut_apart_read_as_what_both_hold(cuts in prop::array::uniform2(0.0..=1.0)) {
        let root = tempfile::tempdir().unwrap();
        let folder = ResultsFolder::create(root.path(), "run").unwrap();
        let point = folder.point("p").unwrap();
        std::fs::create_dir(point.path()).unwrap();
        for ((name, bytes), share) in
            ["requests.arrows", "tokens.arrows"].iter().zip(&*STREAMS).zip(cuts)
        {
            let kept = (bytes.len() as f64 * share) as usize;
            std::fs::write(point.path().join(name), &bytes[..kept]).unwrap();
        }
        let read = read_point(&point).unwrap();
        prop_assert!(!read.complete);
        let mut chunks_read = 0;
        for (id, row) in (0..).zip(&read.rows) {
            let whole = sample::row(id);
            chunks_read += row.chunks.len() as u64;
            prop_assert_eq!(
                read.short_of_chunks.contains(&id), row.chunks.len() < whole.chunks.len());
            prop_assert!(whole.chunks.starts_with(&row.chunks));
            let mut row = row.clone();
            row.chunks.clone_from(&whole.chunks);
            prop_assert_eq!(row, whole);
        }
        // Whichever of the two has more, the other lacks nothing that it could have.
        prop_assert!(read.orphan_chunks == 0 || read.short_of_chunks.is_empty());
        prop_assert!(chunks_read + read.orphan_chunks <= 6_000);
    }
}
