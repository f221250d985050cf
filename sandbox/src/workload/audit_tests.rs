//! Seeded losses are found, whole volumes are clean.

use proptest::prelude::*;

use super::*;

fn app() -> AppId {
    AppId::new("shop", "db")
}

fn record(seq: u64, second: i64, writer: &str) -> Record {
    Record { app: app().to_string(), seq, at: Timestamp::from_second(second).unwrap(), writer: writer.to_owned() }
}

fn ack(record: &Record) -> Acknowledged {
    let cluster = record.writer.split('#').next().unwrap().to_owned();
    Acknowledged { record: record.clone(), cluster }
}

fn bytes<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<u8> {
    records.into_iter().flat_map(|record| record.to_bytes(0)).collect()
}

fn audit(acknowledged: &[Record], volume: Vec<u8>) -> Audit {
    let acknowledged: Vec<Acknowledged> = acknowledged.iter().map(ack).collect();
    compare(&app(), "dr2", &acknowledged, &[("data".to_owned(), volume)].into())
}

#[test]
fn a_failover_loses_what_came_after_the_last_sync_although_the_numbers_are_used_again() {
    let old: Vec<Record> = (1..=10).map(|n| record(n, n as i64, "dr1#1")).collect();
    let new: Vec<Record> = (7..=12).map(|n| record(n, 100 + n as i64, "dr2#2")).collect();
    let acknowledged: Vec<Record> = old.iter().chain(&new).cloned().collect();
    let audit = audit(&acknowledged, bytes(old[..6].iter().chain(&new)));
    assert_eq!((audit.acknowledged, audit.present, audit.lost), (16, 12, 4));
    // Records 7 to 10 are lost: from second 6, when the last one that is there was written, to second 10.
    assert_eq!((audit.lost_seconds, audit.first_lost), (4.0, Timestamp::from_second(7).ok()));
    assert_eq!((audit.duplicated, audit.out_of_order, audit.concurrent_seconds), (0, 0, 0.0));
    assert_eq!(audit.writers, ["dr1", "dr2"]);
    assert!(!audit.is_clean());
}

#[test]
fn two_clusters_that_write_at_a_time_are_seen_whatever_the_volume_says() {
    let one: Vec<Record> = (1..=10).map(|n| record(n, n as i64, "dr1#1")).collect();
    let two: Vec<Record> = (1..=10).map(|n| record(n, 5 + n as i64, "dr2#2")).collect();
    let acknowledged: Vec<Record> = one.iter().chain(&two).cloned().collect();
    let shared = audit(&acknowledged, bytes(one.iter().zip(&two).flat_map(|(a, b)| [a, b])));
    assert_eq!(shared.concurrent_seconds, 4.0);
    assert_eq!((shared.lost, shared.duplicated), (0, 10));
    let replica = audit(&acknowledged, bytes(&two));
    assert_eq!((replica.lost, replica.duplicated), (10, 0));
    assert_eq!(replica.concurrent_seconds, 4.0);
}

#[test]
fn a_restart_on_the_same_cluster_is_not_concurrent() {
    let acknowledged = [record(1, 1, "dr1#1"), record(2, 2, "dr1#2"), record(3, 3, "dr1#1")];
    assert_eq!(audit(&acknowledged, bytes(&acknowledged)).concurrent_seconds, 0.0);
}

#[test]
fn the_last_write_before_a_crash_is_unacknowledged_and_not_lost() {
    let records = [record(1, 1, "dr1#1"), record(2, 2, "dr1#1")];
    let audit = audit(&records[..1], bytes(&records));
    assert_eq!((audit.lost, audit.unacknowledged), (0, 1));
    assert!(audit.is_clean());
}

#[test]
fn a_missing_volume_loses_everything() {
    let records = [record(1, 1, "dr1#1"), record(2, 2, "dr1#1")];
    let acknowledged: Vec<Acknowledged> = records.iter().map(ack).collect();
    let volumes = [("data".to_owned(), bytes(&records)), ("log".to_owned(), Vec::new())].into();
    let audit = compare(&app(), "dr1", &acknowledged, &volumes);
    assert_eq!((audit.lost, audit.volumes["data"].lost, audit.volumes["log"].lost), (2, 0, 2));
}

proptest! {
    #[test]
    fn seeded_losses_and_doubles_are_found_exactly(
        count in 1u64..60,
        lost in prop::collection::btree_set(0usize..60, 0..10),
        doubled in prop::collection::btree_set(0usize..60, 0..10),
    ) {
        let records: Vec<Record> = (1..=count).map(|n| record(n, n as i64, "dr1#1")).collect();
        let mut volume = Vec::new();
        let (mut expected_lost, mut expected_doubled) = (0, 0);
        for (index, record) in records.iter().enumerate() {
            if lost.contains(&index) {
                expected_lost += 1;
                continue;
            }
            volume.push(record);
            if doubled.contains(&index) {
                expected_doubled += 1;
                volume.push(record);
            }
        }
        let audit = audit(&records, bytes(volume));
        prop_assert_eq!((audit.lost, audit.duplicated, audit.out_of_order), (expected_lost, expected_doubled, 0));
        prop_assert_eq!(audit.present + audit.lost, audit.acknowledged);
        prop_assert_eq!(audit.is_clean(), expected_lost == 0 && expected_doubled == 0);
    }

    #[test]
    fn exchanged_records_are_out_of_order(count in 2u64..40, at in 0usize..38) {
        let records: Vec<Record> = (1..=count).map(|n| record(n, n as i64, "dr1#1")).collect();
        let mut volume: Vec<&Record> = records.iter().collect();
        let at = at % (volume.len() - 1);
        volume.swap(at, at + 1);
        prop_assert_eq!(audit(&records, bytes(volume)).out_of_order, 1);
    }
}
