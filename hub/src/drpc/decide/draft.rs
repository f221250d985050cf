//! A plan while it is being made.

use kaedama_shared::api::{DRState, Progression, VolumeReplicationGroup};
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

    /// Puts the actions from `from` on before those from `to` on: what the application waits for goes first.
    pub(super) fn advance(&mut self, from: usize, to: usize) {
        if let Some(part) = self.actions.get_mut(to..) {
            part.rotate_left(from - to);
        }
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
        let stored =
            self.s.drpc.metadata.annotations.as_ref().and_then(|a| ActionRecord::from_annotations(a).ok().flatten());
        self.marks.record = (stored.as_ref() != Some(record)).then(|| record.clone());
    }

    /// Puts the record of a new action into the DRPC, and counts the action.
    pub(super) fn accept(&mut self, record: &ActionRecord) {
        self.record(record);
        self.marks.counted = true;
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

    /// Notes the cluster and the action for those who read them off the DRPC's annotations, where they are not there yet.
    pub(super) fn last(&mut self, cluster: &str, action: &str) {
        use kaedama_shared::names::{LAST_ACTION, LAST_APP_DEPLOYMENT_CLUSTER};
        let same = self.s.annotation(LAST_APP_DEPLOYMENT_CLUSTER) == Some(cluster)
            && self.s.annotation(LAST_ACTION) == Some(action);
        self.marks.last = (!same).then(|| (cluster.to_owned(), action.to_owned()));
    }

    /// Asks a cluster that no work was delivered to whether it has a VRG, unless it is being asked.
    pub(super) fn ask(&mut self, site: &Site) {
        let action = Action::Ask { cluster: site.cluster.clone() };
        if site.work.is_absent() && site.question.is_none() && !self.actions.contains(&action) {
            self.actions.push(action);
        }
    }

    /// Makes a work of a VRG that is on the cluster already, and changes nothing about it.
    pub(super) fn take_over(&mut self, site: &Site, vrg: &VolumeReplicationGroup) {
        self.namespace(site);
        self.actions.push(Action::CreateVrgWork {
            cluster: site.cluster.clone(),
            question: site.question.clone(),
            vrg: Box::new(generate::adopted(self.s, site, vrg)),
            permit: Permit::SameSide,
        });
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

    /// Makes the VRG in a site's work what it should be. Returns true while it is not: something is written, or has to be
    /// known before.
    pub(super) fn vrg(&mut self, site: &Site, role: &generate::Role, record: &ActionRecord, permit: Permit) -> bool {
        if let Some(work) = site.asked() {
            let wanted = generate::vrg(self.s, site, role, record);
            if generate::is_same(&work.vrg, &wanted) {
                return false;
            }
            self.actions.push(Action::UpdateVrgWork {
                cluster: site.cluster.clone(),
                work: work.id.clone(),
                vrg: Box::new(wanted),
                permit,
            });
            return true;
        }
        // A work that is being deleted has to be gone before another of its name can be made.
        if !site.work.is_absent() {
            return true;
        }
        // Rule S14: a VRG that may be there is never replaced by one that is made up.
        if !site.vrg.is_conclusive() {
            self.ask(site);
            return true;
        }
        let vrg = Box::new(generate::vrg(self.s, site, role, record));
        self.namespace(site);
        self.actions.push(Action::CreateVrgWork {
            cluster: site.cluster.clone(),
            question: site.question.clone(),
            vrg,
            permit,
        });
        true
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
