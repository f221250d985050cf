//! The planned moves of the story.

use kaedama_sandbox::workload::Audit;
use kaedama_sandbox::world::WorldError;
use kaedama_shared::api::{DRAction, DRState};

use super::screen::Screen;
use super::stage::{self, PATIENCE, Stage};
use super::story::{Order, StoryError, attend, settled};
use super::tale::{Action, Kind};

/// Moves the application with both clusters alive; `name` is what the story calls it. Returns the action, and what the
/// new home holds after a while.
pub async fn relocate(
    stage: &Stage,
    screen: &mut Screen,
    name: &str,
    (from, to): (&str, &str),
    before: &Audit,
) -> Result<(Action, Audit), StoryError> {
    screen.begin(&format!("{name} to {to}"));
    let order = Order::new(DRAction::Relocate, to);
    let running = attend(screen, Some(stage), order.carried_out(stage, DRState::Relocated)).await?;
    let clean = attend(screen, Some(stage), async {
        let (world, app) = (&stage.world, &stage.app);
        let what = format!("{}: {}, completed", app.id(), DRState::Relocated);
        let finished = |drpc: &_| stage::finished(drpc, &DRState::Relocated);
        let state = kaedama_sandbox::world::look::describe;
        world.until(world.drpcs(&app.namespace), &app.name, &what, PATIENCE, finished, state).await?;
        let clean = order.since.elapsed();
        world.protected(app).await?;
        Ok::<_, WorldError>(clean)
    })
    .await?;
    screen.done(Some(&format!("{name} to {to}: final sync, restored, writing; {from} follows")));
    let after = settled(stage, screen, to).await?;
    let lost = after.lost.saturating_sub(before.lost);
    screen.note(&format!("{} of {} records are there; {lost} lost on the way", after.present, after.acknowledged));
    let action = Action {
        kind: Kind::Relocate,
        from: from.to_owned(),
        to: to.to_owned(),
        running,
        clean,
        acknowledged: after.acknowledged.saturating_sub(before.acknowledged),
        lost,
        lost_seconds: (after.lost_seconds - before.lost_seconds).max(0.0),
        late: 0,
    };
    Ok((action, after))
}
