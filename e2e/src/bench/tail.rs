//! A log that grows, read from where it was left off.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::Context as _;

/// A log, and how far it was read.
pub struct Tail {
    path: PathBuf,
    read: u64,
}

impl Tail {
    /// From its beginning on. It need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// The whole lines that came since the last call.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn lines(&mut self) -> anyhow::Result<String> {
        if !self.path.exists() {
            return Ok(String::new());
        }
        let mut new = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.read))?;
            file.read_to_end(&mut new)
        });
        read.with_context(|| format!("cannot read {}", self.path.display()))?;
        // What is being written at this moment comes with the next call.
        new.truncate(new.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        self.read += new.len() as u64;
        Ok(String::from_utf8_lossy(&new).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn each_line_comes_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut tail = Tail::new(path.clone());
        assert_eq!(tail.lines().unwrap(), "", "it is not there yet");
        let mut log = File::create(&path).unwrap();
        log.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(tail.lines().unwrap(), "one\ntwo\n");
        assert_eq!(tail.lines().unwrap(), "");
        log.write_all(b"ee\n").unwrap();
        assert_eq!(tail.lines().unwrap(), "three\n");
    }
}
