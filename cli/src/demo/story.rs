//! What happens, step by step: protect, replicate, destroy, fail over, come back, go home, and move once more.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use kaedama_sandbox::workload::Audit;
use kaedama_sandbox::world::WorldError;
use kaedama_shared::api::{DRAction, DRState};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::front::FrontError;
use super::relocate::relocate;
use super::screen::Screen;
use super::stage::{self, EVERY, INTERVAL, PATIENCE, Stage};
use super::tale::{Action, Facts, Kind, Tale};

/// How often the screen looks.
const LOOK: Duration = Duration::from_millis(150);
/// How often something outside of the API is looked at.
const POLL: Duration = Duration::from_millis(10);
/// How long the application writes at a new home before anything else is done to it.
pub const SETTLE: Duration = Duration::from_secs(3);

/// What can keep the story from its end.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// The world refused, or something did not happen in time.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The API servers cannot be reached from outside.
    #[error(transparent)]
    Serve(#[from] FrontError),
    /// The application stands still.
    #[error("{app} did not write on {cluster} within {} s of being placed there; {records} records so far", PATIENCE.as_secs())]
    Silent {
        /// The application.
        app: String,
        /// Where it should run.
        cluster: String,
        /// What it wrote before.
        records: u64,
    },
    /// Nothing is shipped.
    #[error("no volume of {app} was shipped completely within {} s; the last time was {}", PATIENCE.as_secs(), last.map_or("never".to_owned(), |at| at.to_string()))]
    Unsynced {
        /// The application.
        app: String,
        /// When the other side last had everything.
        last: Option<Timestamp>,
    },
    /// The application never started.
    #[error("the ledger does not know {app}: it never started")]
    Unknown {
        /// The application.
        app: String,
    },
}

/// Says what is about to be seen.
pub fn introduce(screen: &mut Screen, story: bool) {
    let paint = screen.paint();
    let every = EVERY.as_secs();
    let mut text = format!("\n  {}\n\n", paint.bold("Kaedama: disaster recovery, from end to end, on this machine"));
    let real = "A hub and two clusters, each with its own API server, run in this process.";
    let real_2 = "The operators are the real ones; storage, S3 and Open Cluster Management are";
    let real_3 = "stand-ins that keep real bytes, so that every lost record is counted.";
    let pace = format!("The storage ships every {every} s instead of the policy's {INTERVAL}. It all takes");
    for line in [real, real_2, real_3] {
        text.push_str(&format!("  {line}\n"));
    }
    if story {
        let waits = "under a minute, most of it waiting for replication to have something to lose.";
        text.push_str(&format!("  {pace}\n  {waits}\n"));
    }
    text.push('\n');
    screen.write(&text);
}

/// Waits for something while the screen shows how it stands.
pub async fn attend<T>(screen: &mut Screen, stage: Option<&Stage>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if !screen.is_live() {
        return work.await;
    }
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = ticks.tick() => match stage {
                Some(stage) => {
                    let look = stage.look().await;
                    screen.tick(Some(&look));
                }
                None => screen.tick(None),
            },
        }
    }
}

/// Starts the world.
pub async fn open(screen: &mut Screen) -> Result<Stage, StoryError> {
    screen.begin("Start a hub and two clusters, join them, validate the DRPolicy");
    let stage = attend(screen, None, Stage::open()).await?;
    screen.done(None);
    Ok(stage)
}

/// Deploys the application under protection.
pub async fn protect(stage: &Stage, screen: &mut Screen) -> Result<(), StoryError> {
    let (app, world) = (&stage.app, &stage.world);
    let (claims, rate) = (app.claims, app.records_per_second);
    screen.begin(&format!("Protect {} on {}: {claims} volumes, {rate} records/s", app.id(), app.home));
    attend(screen, Some(stage), async {
        world.protect(app).await?;
        world.completed(app, DRState::Deployed).await?;
        world.protected(app).await
    })
    .await?;
    screen.done(None);
    Ok(())
}

/// The whole story.
pub async fn tell(stage: &mut Stage, screen: &mut Screen, tale: &mut Tale) -> Result<(), StoryError> {
    let home = stage.app.home.clone();
    let away = stage.other(&home);
    protect(stage, screen).await?;
    replicate(stage, screen).await?;

    let before = audited(stage, &home)?;
    let killed_at = stage.kill(&home).await?;
    let synced_until = stage.synced_until(killed_at);
    let since = synced_until.map_or(0.0, |synced| killed_at.duration_since(synced).as_secs_f64());
    screen.disaster(&format!("{home} is destroyed, {since:.1} s after the last sync: API server, storage, S3"));

    screen.begin(&format!("Fail over to {away}"));
    let failover = Order::new(DRAction::Failover, &away);
    let running = attend(screen, Some(stage), failover.carried_out(stage, DRState::FailedOver)).await?;
    screen.done(Some(&format!("Fail over to {away}: restored, promoted, writing")));
    let failed_over = settled(stage, screen, &away).await?;
    screen.note(&format!(
        "{} of {} records are there; {} are lost, {:.1} s of work, by the ledger",
        failed_over.present, failed_over.acknowledged, failed_over.lost, failed_over.lost_seconds
    ));

    let clean = back(stage, screen, &home).await?;
    let returned = audited(stage, &away)?;
    let late = returned.lost.saturating_sub(failed_over.lost);
    if late > 0 {
        screen.note(&format!("{home} wrote {late} more before it was stopped; they are thrown away and counted"));
    }
    tale.actions.push(Action {
        kind: Kind::Failover,
        from: home.clone(),
        to: away.clone(),
        running,
        clean,
        acknowledged: returned.acknowledged,
        lost: returned.lost.saturating_sub(before.lost),
        lost_seconds: failed_over.lost_seconds,
        late,
    });

    let (action, at_home) = relocate(stage, screen, "Fail back", (&away, &home), &returned).await?;
    tale.actions.push(action);
    let (action, last) = relocate(stage, screen, "Relocate", (&home, &away), &at_home).await?;
    tale.actions.push(action);

    let (protected, lag) = (stage.is_protected().await, stage.lag());
    tale.facts = Some(Facts { before, killed_at, synced_until, failed_over, returned, last, protected, lag });
    Ok(())
}

/// Waits until there is a copy, and then until there is something that the copy does not have.
async fn replicate(stage: &Stage, screen: &mut Screen) -> Result<(), StoryError> {
    screen.begin("Replicate, until there is something to lose");
    let enough = 1.5 * EVERY.as_secs_f64();
    let begin = stage.world.clock().now();
    let deadline = Instant::now() + PATIENCE;
    let mid_interval = 0.55 * EVERY.as_secs_f64()..0.9 * EVERY.as_secs_f64();
    let work = async {
        loop {
            let synced = stage.synced_until(stage.world.clock().now());
            let kept = synced.is_some_and(|synced| synced.duration_since(begin).as_secs_f64() >= enough);
            if kept && stage.lag().is_some_and(|lag| mid_interval.contains(&lag)) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(StoryError::Unsynced { app: stage.app.id().to_string(), last: synced });
            }
            sleep(POLL).await;
        }
    };
    attend(screen, Some(stage), work).await?;
    screen.done(Some(&format!("Replicate: {} records, the last of them not shipped yet", stage.records())));
    Ok(())
}

/// The destroyed cluster returns. Returns how long it took to clean it up.
async fn back(stage: &mut Stage, screen: &mut Screen, cluster: &str) -> Result<Duration, StoryError> {
    screen.begin(&format!("{cluster} is back: clean it up, make it follow, protect again"));
    let since = Instant::now();
    stage.revive(cluster).await??;
    let stage = &*stage;
    let clean = attend(screen, Some(stage), async {
        stage.world.completed(&stage.app, DRState::FailedOver).await?;
        let clean = since.elapsed();
        stage.world.protected(&stage.app).await?;
        Ok::<_, WorldError>(clean)
    })
    .await?;
    screen.done(None);
    Ok(clean)
}

/// Lets the application write for a while, and counts.
pub async fn settled(stage: &Stage, screen: &mut Screen, cluster: &str) -> Result<Audit, StoryError> {
    let before = stage.records();
    screen.begin(&format!("Let it write on {cluster}"));
    attend(screen, Some(stage), sleep(SETTLE)).await;
    screen.done(Some(&format!("Let it write on {cluster}: {} records more", stage.records() - before)));
    audited(stage, cluster)
}

/// What a cluster's volumes hold.
pub fn audited(stage: &Stage, cluster: &str) -> Result<Audit, StoryError> {
    stage.audit(cluster).ok_or_else(|| StoryError::Unknown { app: stage.app.id().to_string() })
}

/// An order: the edit of the DRPlacementControl is what starts the time.
pub struct Order {
    action: DRAction,
    to: String,
    /// When it was given.
    pub since: Instant,
}

impl Order {
    /// Time runs from here.
    pub fn new(action: DRAction, to: &str) -> Self {
        Order { action, to: to.to_owned(), since: Instant::now() }
    }

    /// Gives it, and waits until the application is placed, restored and writing at its target. Returns how long that took.
    pub async fn carried_out(&self, stage: &Stage, phase: DRState) -> Result<Duration, StoryError> {
        let (world, app, to) = (&stage.world, &stage.app, &self.to);
        world.order(app, self.action.clone(), to).await?;
        let what = format!("{}: {phase} on {to}", app.id());
        let drpcs = world.drpcs(&app.namespace);
        let placed = |drpc: &_| stage::placed(drpc, &phase);
        let state = kaedama_sandbox::world::look::describe;
        world.until(drpcs, &app.name, &what, PATIENCE, placed, state).await?;
        self.written(stage).await?;
        Ok(self.since.elapsed())
    }

    async fn written(&self, stage: &Stage) -> Result<(), StoryError> {
        let deadline = Instant::now() + PATIENCE;
        let mut before = stage.records();
        while !(stage.started_on(&self.to) && stage.records() > before) {
            if Instant::now() >= deadline {
                let (app, cluster) = (stage.app.id().to_string(), self.to.clone());
                return Err(StoryError::Silent { app, cluster, records: before });
            }
            // Until it starts here, what is written is written by the old home.
            if !stage.started_on(&self.to) {
                before = stage.records();
            }
            sleep(POLL).await;
        }
        Ok(())
    }
}
