//! A plan while it is being made.

use kaedama_shared::api::{DRState, Progression};
use kaedama_shared::record::{ActionKind, ActionRecord, Step};

use super::super::generate;
use super::super::plan::{Action, DrpcMarks, Outlook, Permit, Plan, Verdict, Waiting};
use super::super::snapshot::{Decision, Decisions, Site, Snapshot};

/// A plan in the making: the marks on the DRPC are gathered into one write, which comes before all others.
pub(super) struct Draft<'a> {
    pub(super) s: &'a Snapshot,
    pub(super) marks: DrpcMarks,
    pub(super) actions: Vec<Action>,
    pub(super) outlook: Outlook,
}

impl<'a> Draft<'a> {
    /// A plan that keeps the status as it is.
    pub(super) fn new(s: &'a Snapshot) -> Self {
        let status = s.drpc.status.as_ref();
        Draft {
            s,
            marks: DrpcMarks::default(),
            actions: Vec::new(),
            outlook: Outlook {
                phase: status.map(|status| status.phase.clone()).unwrap_or_default(),
                progression: status.map(|status| status.progression.clone()).unwrap_or_default(),
                available: None,
                peer_ready: None,
                started: None,
                ended: false,
                reported: None,
                waiting: None,
            },
        }
    }

    /// The finished plan: what the DRPC carries is written before anything that relies on it.
    pub(super) fn finish(mut self) -> Plan {
        if self.marks != DrpcMarks::default() {
            self.actions.insert(0, Action::MarkDrpc(Box::new(self.marks)));
        }
        Plan { actions: self.actions, outlook: self.outlook }
    }

    /// Shows where the action is.
    pub(super) fn show(&mut self, phase: DRState, progression: Progression) {
        self.outlook.phase = phase;
        self.outlook.progression = progression;
    }

    /// While an action runs, `Available` carries the phase as its reason and what is waited for as its message.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        let reason = self.outlook.phase.to_string();
        let reason = if reason.is_empty() { "none".to_owned() } else { reason };
        self.outlook.available = Some(Verdict::no(reason, format!("Waiting: {}", waiting.what)));
        self.outlook.waiting = Some(waiting);
    }

    /// Puts a record into the DRPC, where it is not there already.
    pub(super) fn record(&mut self, record: &ActionRecord) {
        let stored = self.s.drpc.metadata.annotations.as_ref().and_then(|a| ActionRecord::from_annotations(a).ok().flatten());
        if stored.as_ref() != Some(record) {
            self.marks.record = Some(record.clone());
        }
    }

    /// Makes the placement decisions what they should be: `live`, if any, and `retained`.
    pub(super) fn decide(&mut self, live: Option<&str>, retained: &[&str]) {
        let Some(placement) = self.s.placement.present() else { return };
        let mut wanted: Vec<Decision> = retained
            .iter()
            .map(|cluster| Decision {
                cluster: (*cluster).to_owned(),
                reason: kaedama_shared::names::RETAINED_FOR_FAILOVER.to_owned(),
            })
            .collect();
        wanted.extend(live.map(|cluster| Decision { cluster: cluster.to_owned(), reason: cluster.to_owned() }));
        let same = {
            let key = |entry: &Decision| (entry.cluster.clone(), entry.is_retained());
            let mut have: Vec<_> = placement.decisions.entries().iter().map(key).collect();
            let mut want: Vec<_> = wanted.iter().map(key).collect();
            have.sort();
            want.sort();
            have == want
        };
        if same {
            return;
        }
        let decision = match &placement.decisions {
            Decisions::One { id, .. } => Some(id.clone()),
            // Ambiguous decisions are refused before any plan is made.
            Decisions::None | Decisions::Ambiguous(_) => None,
        };
        self.actions.push(Action::Decide { decision, placement: placement.id.clone(), entries: wanted });
    }

    /// Delivers the application's namespace, where no work carries it yet.
    pub(super) fn namespace(&mut self, site: &Site) {
        if site.namespace_work.is_absent() {
            self.actions.push(Action::EnsureNamespace {
                cluster: site.cluster.clone(),
                namespace: self.s.vrg_namespace.clone(),
            });
        }
    }

    /// Makes the VRG in a site's work what it should be. Returns true where something has to be written.
    pub(super) fn vrg(&mut self, site: &Site, role: &generate::Role, record: &ActionRecord, permit: Permit) -> bool {
        let base = site.asked();
        let wanted = generate::vrg(self.s, site, role, record);
        match base {
            Some(work) if generate::is_same(&work.vrg, &wanted) => false,
            Some(work) => {
                self.actions.push(Action::UpdateVrgWork {
                    cluster: site.cluster.clone(),
                    work: work.id.clone(),
                    vrg: Box::new(wanted),
                    permit,
                });
                true
            }
            // A work that is being deleted has to be gone before another of its name can be made.
            None if site.work.is_absent() => {
                self.namespace(site);
                self.actions
                    .push(Action::CreateVrgWork { cluster: site.cluster.clone(), vrg: Box::new(wanted) });
                true
            }
            None => true,
        }
    }

    /// Drops views whose answer the works give by now.
    pub(super) fn drop_views(&mut self) {
        for site in &self.s.sites {
            let answered = site.work.present().is_some_and(|work| work.reported);
            if let (Some(view), true) = (&site.view, answered) {
                self.actions.push(Action::DeleteView { cluster: site.cluster.clone(), view: view.clone() });
            }
        }
    }
}

/// The phase that an action shows while it runs.
pub(super) fn running(kind: ActionKind) -> DRState {
    match kind {
        ActionKind::Deploy => DRState::Deploying,
        ActionKind::Failover => DRState::FailingOver,
        ActionKind::Relocate => DRState::Relocating,
    }
}

/// The phase that an action shows once the application is placed.
pub(super) fn done(kind: ActionKind) -> DRState {
    match kind {
        ActionKind::Deploy => DRState::Deployed,
        ActionKind::Failover => DRState::FailedOver,
        ActionKind::Relocate => DRState::Relocated,
    }
}

/// The message of `Available` once an action is complete.
pub(super) fn completed_message(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Deploy => "Initial deployment completed",
        ActionKind::Failover | ActionKind::Relocate => "Completed",
    }
}

/// True from the moment that the target was told to become primary.
pub(super) fn is_committed(record: &ActionRecord) -> bool {
    record.step >= Step::Promoting
}
