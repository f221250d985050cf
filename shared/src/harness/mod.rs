//! What every operator process stands on. Nothing here knows disaster recovery.
//!
//! | module | what lives there |
//! |---|---|
//! | [`shutdown`] | a token that SIGTERM and SIGINT cancel |
//! | [`logs`] | the tracing subscriber |
//! | [`client`] | Kubernetes clients with bounded requests and without automatic retries; the gate that only lets a leader write |
//! | [`leader`] | leader election on a Lease: a pure transition function and thin I/O |
//! | [`cache`] | a watched copy of one kind: readable at once, with its age, tolerant of objects that cannot be decoded |
//! | [`queue`] | the work queue, pure: one entry per object, leading edge, back-off, requeue |
//! | [`controller`] | the reconcile runner: triggers in, passes out, panics contained |
//! | [`news`] | when a status is written: at once, or together with what else comes |
//! | [`events`] | Kubernetes events, with the suppression that users know |
//! | [`metrics`] | metrics of the harness itself, and the text endpoint |
//! | [`health`] | `/healthz` and `/readyz` |
//! | [`http`] | binding of the addresses that the configuration gives, in Go's notation |
//! | [`backoff`] | delays that grow, pure |
//!
//! An operator is assembled like this, and stops being one in two ways only: the token is cancelled (running passes
//! finish, the lease is handed back), or leadership is lost (everything is dropped at once, and the error ends the process).
//!
//! ```no_run
//! # use kaedama_shared::{clock::Clock, harness::{cache::{Cache, Scope}, client, controller::{Controller, Next}, leader, shutdown}};
//! # use k8s_openapi::api::core::v1::ConfigMap;
//! # use kube::Api;
//! # async fn operator() -> Result<(), Box<dyn std::error::Error>> {
//! let stop = shutdown::on_signals()?;
//! let config = client::config(None, None).await?;
//! let clients = client::Clients::from_config(config, &client::user_agent("kaedama-hub"))?;
//! let identity = leader::identity("hub-0", Some("5f1c"), Clock::system());
//! let election = leader::Election::new("ramen-system", leader::HUB_LEASE, identity, leader::Timings::default())?;
//! leader::lead(election, clients.lease.clone(), Clock::system(), stop.clone(), |leadership| async move {
//!     let clients = clients.gated(&leadership);
//!     let maps: Cache<ConfigMap> = Cache::start("configmaps", Api::all(clients.watches.clone()), Scope::default());
//!     Controller::new("example")
//!         .primary(&maps)
//!         .run(stop, move |key| {
//!             let map = maps.seen(&key);
//!             async move { map.present(); Ok::<_, kube::Error>(Next::Await) }
//!         })
//!         .await;
//! })
//! .await?;
//! # Ok(())
//! # }
//! ```

pub mod backoff;
pub mod cache;
pub mod client;
pub mod controller;
pub mod events;
pub mod health;
pub mod http;
pub mod key;
pub mod leader;
pub mod logs;
pub mod metrics;
pub mod news;
pub mod queue;
pub mod shutdown;

pub use key::ObjectKey;
