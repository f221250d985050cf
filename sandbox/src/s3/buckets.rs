//! The objects.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use jiff::Timestamp;
use s3s::crypto::{Checksum as _, Md5};

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) body: Bytes,
    /// md5 of the body in hex, as S3 has it for objects put in one piece.
    pub(super) etag: String,
    pub(super) modified: Timestamp,
}

/// The condition of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    None,
    Absent,
    Matches(String),
}

/// Why an operation on a bucket was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    NoBucket,
    NoKey,
    Precondition,
}

/// One page of a listing.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<(String, Object)>,
    pub(super) prefixes: BTreeSet<String>,
    /// The last key that was looked at, if there are more.
    pub(super) goes_on_after: Option<String>,
}

/// All buckets. Each method is one atomic step.
#[derive(Debug, Default)]
pub(super) struct Buckets(BTreeMap<String, BTreeMap<String, Object>>);

impl Buckets {
    pub(super) fn with(names: &[String]) -> Self {
        Self(names.iter().map(|name| (name.clone(), BTreeMap::new())).collect())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    pub(super) fn exists(&self, bucket: &str) -> bool {
        self.0.contains_key(bucket)
    }

    /// Whether the bucket is new.
    pub(super) fn create(&mut self, bucket: &str) -> bool {
        self.0.insert(bucket.to_owned(), BTreeMap::new()).is_none()
    }

    pub(super) fn remove_bucket(&mut self, bucket: &str) -> bool {
        self.0.remove(bucket).is_some()
    }

    pub(super) fn keys(&self, bucket: &str) -> Vec<String> {
        self.0.get(bucket).map(|objects| objects.keys().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn get(&self, bucket: &str, key: &str) -> Option<Object> {
        self.0.get(bucket)?.get(key).cloned()
    }

    pub(super) fn read(&self, bucket: &str, key: &str) -> Result<Object, Refused> {
        self.0.get(bucket).ok_or(Refused::NoBucket)?.get(key).cloned().ok_or(Refused::NoKey)
    }

    pub(super) fn insert(&mut self, bucket: &str, key: &str, body: Bytes, now: Timestamp) -> String {
        let etag = Md5::checksum(&body).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let object = Object { body, etag: etag.clone(), modified: now };
        self.0.entry(bucket.to_owned()).or_default().insert(key.to_owned(), object);
        etag
    }

    /// Checks the condition and writes, in one step; returns the entity tag.
    pub(super) fn put(
        &mut self,
        bucket: &str,
        key: &str,
        body: Bytes,
        condition: &Condition,
        now: Timestamp,
    ) -> Result<String, Refused> {
        let found = self.0.get(bucket).ok_or(Refused::NoBucket)?.get(key);
        match (condition, found) {
            (Condition::None, _) | (Condition::Absent, None) => {}
            (Condition::Matches(etag), Some(object)) if object.etag == *etag => {}
            // As S3 answers when there is nothing to match.
            (Condition::Matches(_), None) => return Err(Refused::NoKey),
            _ => return Err(Refused::Precondition),
        }
        Ok(self.insert(bucket, key, body, now))
    }

    pub(super) fn remove(&mut self, bucket: &str, key: &str) -> bool {
        self.0.get_mut(bucket).is_some_and(|objects| objects.remove(key).is_some())
    }

    /// Keys after `after` that begin with `prefix`, at most `limit` objects and common prefixes together. Keys that
    /// have the delimiter after the prefix are folded into one common prefix.
    pub(super) fn list(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, Refused> {
        let objects = self.0.get(bucket).ok_or(Refused::NoBucket)?;
        let mut page = Page::default();
        let mut last: Option<String> = None;
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after.to_owned()),
            _ => Bound::Included(prefix.to_owned()),
        };
        for (key, object) in objects.range((start, Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(prefix) else { break };
            let common = delimiter
                .filter(|delimiter| !delimiter.is_empty())
                .and_then(|delimiter| rest.find(delimiter).map(|at| &key[..prefix.len() + at + delimiter.len()]));
            if let Some(common) = common {
                // Folded into one that this page has, or that an earlier page had.
                if page.prefixes.contains(common) || after.is_some_and(|after| after.starts_with(common)) {
                    last = Some(key.clone());
                    continue;
                }
            }
            if page.objects.len() + page.prefixes.len() == limit {
                page.goes_on_after = last;
                return Ok(page);
            }
            match common {
                Some(common) => {
                    page.prefixes.insert(common.to_owned());
                }
                None => page.objects.push((key.clone(), object.clone())),
            }
            last = Some(key.clone());
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(keys: &[&str]) -> Buckets {
        let mut buckets = Buckets::with(&["b".into()]);
        for key in keys {
            buckets.insert("b", key, Bytes::new(), Timestamp::UNIX_EPOCH);
        }
        buckets
    }

    fn pages(
        buckets: &Buckets,
        prefix: &str,
        delimiter: Option<&str>,
        limit: usize,
    ) -> Vec<(Vec<String>, Vec<String>)> {
        let (mut pages, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = buckets.list("b", prefix, delimiter, after.as_deref(), limit).unwrap();
            let keys = page.objects.into_iter().map(|(key, _)| key).collect();
            pages.push((keys, page.prefixes.into_iter().collect()));
            after = page.goes_on_after;
            if after.is_none() {
                return pages;
            }
        }
    }

    fn page(keys: &[&str], prefixes: &[&str]) -> (Vec<String>, Vec<String>) {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        (owned(keys), owned(prefixes))
    }

    #[test]
    fn pages_together_hold_every_key_of_the_prefix_once() {
        let buckets = buckets(&["a/1", "a/2", "a/3", "aa", "b/1"]);
        assert_eq!(pages(&buckets, "a/", None, 2), [page(&["a/1", "a/2"], &[]), page(&["a/3"], &[])]);
        assert_eq!(pages(&buckets, "", None, 5), [page(&["a/1", "a/2", "a/3", "aa", "b/1"], &[])]);
        assert_eq!(pages(&buckets, "c", None, 5), [page(&[], &[])]);
    }

    #[test]
    fn a_common_prefix_appears_once_over_all_pages() {
        let buckets = buckets(&["a/1", "a/2", "a/3", "aa", "b/1", "b/2", "c"]);
        assert_eq!(
            pages(&buckets, "", Some("/"), 1),
            [page(&[], &["a/"]), page(&["aa"], &[]), page(&[], &["b/"]), page(&["c"], &[])]
        );
        assert_eq!(pages(&buckets, "a/", Some("/"), 9), [page(&["a/1", "a/2", "a/3"], &[])]);
    }

    #[test]
    fn conditions_are_checked_with_the_write() {
        let mut buckets = buckets(&[]);
        let now = Timestamp::UNIX_EPOCH;
        let mut put = |body: &'static str, condition| buckets.put("b", "k", Bytes::from(body), &condition, now);
        assert_eq!(put("1", Condition::Matches("x".into())), Err(Refused::NoKey));
        let first = put("1", Condition::Absent).unwrap();
        // md5 of "1".
        assert_eq!(first, "c4ca4238a0b923820dcc509a6f75849b");
        assert_eq!(put("2", Condition::Absent), Err(Refused::Precondition));
        assert_ne!(put("2", Condition::Matches(first.clone())).unwrap(), first);
        assert_eq!(put("3", Condition::Matches(first)), Err(Refused::Precondition));
        assert_eq!(buckets.put("none", "k", Bytes::new(), &Condition::None, now), Err(Refused::NoBucket));
    }
}
