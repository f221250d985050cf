//! Notifications, the timer, faults and fences, as controllers meet them.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::storage::array::{Code, Mode, Replication, What};

const DRIVER: &str = "driver";

fn fabric() -> StorageFabric {
    let fabric = StorageFabric::new(Clock::starting_at("2030-01-01T00:00:00Z".parse().unwrap()));
    let (a, b): (ArrayId, ArrayId) = ("a".into(), "b".into());
    fabric.add_array(&a);
    fabric.add_array(&b);
    fabric.link(&a, &b, LinkSettings::default());
    fabric.attach("dr1", DRIVER, &a);
    fabric.attach("dr2", DRIVER, &b);
    fabric
}

fn every_five_minutes() -> Replication {
    Replication { mode: Mode::Async { interval: Duration::from_secs(300) }, peer: None }
}

#[tokio::test(start_paused = true)]
async fn the_timer_syncs_on_time_and_tells() {
    let fabric = fabric();
    let dr1 = fabric.driver("dr1", DRIVER);
    let handle = dr1.create_volume("v", 1).await.unwrap();
    let unit = (&handle).into();
    dr1.enable(&unit, &every_five_minutes()).await.unwrap();
    dr1.write(&handle, Bytes::from_static(b"data")).unwrap();
    let mut events = fabric.subscribe();
    let timer = async {
        tokio::select! {
            () = fabric.run() => unreachable!("the timer never ends"),
            event = events.recv() => event.unwrap(),
        }
    };
    let event = timer.await;
    assert_eq!(event.at, "2030-01-01T00:05:00Z".parse().unwrap());
    assert!(matches!(event.what, What::Synced(report) if report.bytes == 4), "{event:?}");
    assert_eq!(fabric.driver("dr2", DRIVER).read(&handle).unwrap().to_bytes(), b"data");
}

#[tokio::test(start_paused = true)]
async fn the_timer_rests_when_nothing_is_replicated() {
    let fabric = fabric();
    let resting = tokio::time::timeout(Duration::from_secs(86_400), fabric.run()).await;
    assert!(resting.is_err());
    assert_eq!(fabric.history(), []);
}

#[tokio::test(start_paused = true)]
async fn calls_take_the_latency_and_meet_faults_before_or_after_the_act() {
    let fabric = fabric();
    fabric.set_latency(Duration::from_secs(3));
    let dr1 = fabric.driver("dr1", DRIVER);
    let fault = |after| Fault {
        array: Some("a".into()),
        operation: Operation::CreateVolume,
        error: StorageError::new(Code::Internal, "broken"),
        times: 1,
        after,
    };
    let started = tokio::time::Instant::now();
    fabric.inject(fault(false));
    assert_eq!(dr1.create_volume("v", 1).await.unwrap_err().code, Code::Internal);
    assert_eq!(fabric.with(|arrays, _| arrays.volumes(&"a".into())), []);
    fabric.inject(fault(true));
    assert_eq!(dr1.create_volume("v", 1).await.unwrap_err().code, Code::Internal);
    assert_eq!(fabric.with(|arrays, _| arrays.volumes(&"a".into())).len(), 1);
    assert_eq!(dr1.create_volume("v", 1).await.unwrap().as_str(), "a-v");
    assert_eq!(started.elapsed(), Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn two_clusters_on_one_array_share_volumes_until_one_is_fenced() {
    let fabric = fabric();
    fabric.attach("dr2", DRIVER, &"a".into());
    fabric.set_addresses("dr1", vec!["10.1.0.0/24".to_owned()]);
    fabric.set_addresses("dr2", vec!["10.2.0.0/24".to_owned()]);
    let (dr1, dr2) = (fabric.driver("dr1", DRIVER), fabric.driver("dr2", DRIVER));
    let handle = dr1.create_volume("v", 1).await.unwrap();
    dr1.write(&handle, Bytes::from_static(b"one ")).unwrap();
    dr2.fence(&["10.1.0.0/24".to_owned()], true).await.unwrap();
    assert_eq!(dr1.write(&handle, Bytes::from_static(b"never")).unwrap_err().code, Code::Fenced);
    dr2.write(&handle, Bytes::from_static(b"two")).unwrap();
    assert_eq!(dr2.read(&handle).unwrap().to_bytes(), b"one two");
    assert_eq!(dr2.fence(&[], true).await.unwrap_err().code, Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn groups_keep_their_members_and_are_deleted_empty() {
    let fabric = fabric();
    let dr1 = fabric.driver("dr1", DRIVER);
    let one = dr1.create_volume("one", 1).await.unwrap();
    let two = dr1.create_volume("two", 1).await.unwrap();
    let group = dr1.create_group("g", &[one.clone(), two.clone()]).await.unwrap();
    assert_eq!(dr1.create_group("g", &[one.clone(), two.clone()]).await.unwrap(), group);
    assert_eq!(dr1.create_group("g", std::slice::from_ref(&one)).await.unwrap_err().code, Code::AlreadyExists);
    assert_eq!(dr1.create_group("h", &["none".into()]).await.unwrap_err().code, Code::InvalidArgument);
    dr1.enable(&group, &every_five_minutes()).await.unwrap();
    assert_eq!(fabric.with(|arrays, _| arrays.volumes(&"b".into())).len(), 2);
    dr1.set_group_members(&group, std::slice::from_ref(&two)).await.unwrap();
    assert_eq!(fabric.with(|arrays, _| arrays.volumes(&"b".into())), std::slice::from_ref(&two));
    assert_eq!(dr1.delete_group(&group).await.unwrap_err().code, Code::FailedPrecondition);
    dr1.set_group_members(&group, &[]).await.unwrap();
    dr1.delete_group(&group).await.unwrap();
    dr1.delete_group(&group).await.unwrap();
}
