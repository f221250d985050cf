//! Several stores at once, and the clients kept between passes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures::future::join_all;

use super::connect::{Credentials, S3Options};
use super::error::S3Error;
use super::store::S3Store;
use crate::config::S3StoreProfile;

/// What one store of a set answered.
#[derive(Clone, Debug)]
pub struct PerStore<T> {
    /// Name of its profile.
    pub profile: String,
    /// Its answer.
    pub result: T,
}

/// The stores of an application: one per profile of the VolumeReplicationGroup, in its order.
///
/// A profile that cannot be opened stays a member, and answers every question with why: that a store cannot be asked
/// must never look as if there were no store.
#[derive(Clone, Debug, Default)]
pub struct StoreSet {
    members: Vec<PerStore<Result<S3Store, S3Error>>>,
}

impl StoreSet {
    /// A set of opened stores.
    #[must_use]
    pub fn new(stores: impl IntoIterator<Item = S3Store>) -> Self {
        let member = |store: S3Store| PerStore { profile: store.profile().to_owned(), result: Ok(store) };
        Self { members: stores.into_iter().map(member).collect() }
    }

    /// Adds the store of a profile, or why there is none.
    pub fn push(&mut self, profile: impl Into<String>, store: Result<S3Store, S3Error>) {
        self.members.push(PerStore { profile: profile.into(), result: store });
    }

    /// How many profiles it has, those that cannot be opened included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has no profile at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members, in order.
    pub fn members(&self) -> impl Iterator<Item = &PerStore<Result<S3Store, S3Error>>> {
        self.members.iter()
    }

    /// The stores that could be opened, in order.
    pub fn stores(&self) -> impl Iterator<Item = &S3Store> {
        self.members.iter().filter_map(|member| member.result.as_ref().ok())
    }

    /// Does the same on all stores at the same time; the results are in the order of the set. Takes as long as the
    /// slowest store, at most one deadline per operation.
    pub async fn on_all<T, E, F, A>(&self, work: F) -> Vec<PerStore<Result<T, E>>>
    where
        E: From<S3Error>,
        F: Fn(S3Store) -> A,
        A: Future<Output = Result<T, E>>,
    {
        join_all(self.members.iter().map(|member| {
            let running = member.result.clone().map(&work);
            async move {
                let result = match running {
                    Ok(running) => running.await,
                    Err(error) => Err(error.into()),
                };
                PerStore { profile: member.profile.clone(), result }
            }
        }))
        .await
    }
}

/// The clients of a process, kept as long as profile and credentials stay the same, so that connections are reused
/// and what was written is remembered. A changed bucket, endpoint or key gives a new client, which has written
/// nothing yet.
#[derive(Debug)]
pub struct StorePool {
    options: S3Options,
    open: Mutex<HashMap<String, (S3StoreProfile, Credentials, S3Store)>>,
}

impl StorePool {
    /// An empty pool.
    #[must_use]
    pub fn new(options: S3Options) -> Self {
        Self { options, open: Mutex::new(HashMap::new()) }
    }

    /// The store of a profile, opened now or before.
    ///
    /// # Errors
    /// As [`S3Store::connect`].
    pub fn open(&self, profile: &S3StoreProfile, credentials: &Credentials) -> Result<S3Store, S3Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of_profile, of_credentials, store)) = open.get(&profile.s3_profile_name)
            && of_profile == profile
            && of_credentials == credentials
        {
            return Ok(store.clone());
        }
        let store = S3Store::connect(profile, credentials, &self.options)?;
        open.insert(profile.s3_profile_name.clone(), (profile.clone(), credentials.clone(), store.clone()));
        Ok(store)
    }
}
