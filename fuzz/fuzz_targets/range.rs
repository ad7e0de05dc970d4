//! Ranges lie within the representation, and an answer is never longer than it.
#![no_main]

use entrepot::oci::{ByteRange, RangeRequest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, u32)| {
    let (header, size) = (input.0, u64::from(input.1));
    if let RangeRequest::Ranges(ranges) = RangeRequest::parse(Some(header), size) {
        assert!(!ranges.is_empty());
        assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size));
        assert!(ranges.iter().map(ByteRange::len).sum::<u64>() <= size);
    }
    if let Some((range, Some(total))) = ByteRange::parse_content_range(header) {
        assert!(range.end <= total);
    }
});
