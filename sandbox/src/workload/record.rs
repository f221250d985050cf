//! A record, and its form in bytes.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One write of an application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Record {
    /// `<namespace>/<name>` of the application.
    pub app: String,
    /// The number: one more than that of the record before it on the volume.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Who wrote it: the cluster, and which start of the application it was.
    pub writer: String,
}

/// As it lies on the volume: the record, and blanks up to the size that is wanted.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    record: Record,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pad: String,
}

impl Record {
    /// The record as a line of JSON with at least `size` bytes.
    #[must_use]
    pub fn to_bytes(&self, size: usize) -> Bytes {
        let encode = |pad: String| {
            let line = Line { record: self.clone(), pad };
            // Strings and numbers always have a JSON form.
            let mut text = serde_json::to_vec(&line).unwrap_or_default();
            text.push(b'\n');
            text
        };
        let plain = encode(String::new());
        let missing = size.saturating_sub(plain.len() + r#","pad":"""#.len());
        Bytes::from(if missing == 0 { plain } else { encode(" ".repeat(missing)) })
    }

    /// Reads a line; `None` when it is not a record.
    #[must_use]
    pub fn from_line(line: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Line>(line).ok().map(|line| line.record)
    }

    /// Reads all records of a volume's bytes, and counts the lines that are none.
    #[must_use]
    pub fn read_all(bytes: &[u8]) -> (Vec<Self>, u64) {
        let mut records = Vec::new();
        let mut damaged = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match Self::from_line(line) {
                Some(record) => records.push(record),
                None => damaged += 1,
            }
        }
        (records, damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_the_volume_with_and_without_padding() {
        let at = "2030-01-01T00:00:00.5Z".parse().unwrap();
        let record = Record { app: "shop/db".to_owned(), seq: 7, at, writer: "dr1#1".to_owned() };
        let (small, large) = (record.to_bytes(0), record.to_bytes(4096));
        assert_eq!(large.len(), 4096);
        let bytes = [&small[..], &large[..], b"{torn"].concat();
        assert_eq!(Record::read_all(&bytes), (vec![record.clone(), record], 1));
        assert_eq!(Record::read_all(b""), (vec![], 0));
    }
}
