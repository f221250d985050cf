//! Which scenarios share clusters.

use super::Scenario;

/// What the names begin with of scenarios that share clusters with each other and with nobody else: they have another
/// storage, or leave objects behind whose names are fixed.
pub(crate) const TOGETHER: [&str; 2] = [METRO, "yaml::"];

/// Those on one storage system under both clusters.
pub(super) const METRO: &str = "scenarios::metro::";

/// What the names begin with of scenarios that need clusters of their own: with other definitions, without a policy, or
/// because of what they leave behind.
pub(crate) const OWN: [&str; 3] = [
    "scenarios::definitions::",
    "refusals::stores::a_profile_that_is_not_configured",
    "only_real::stores::a_store_whose_disk_is_full",
];

/// Which clusters a scenario is told on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Share {
    /// Those that are there for all.
    WithAll,
    /// Those of the scenarios whose names begin so.
    With(&'static str),
    /// Its own.
    Nothing,
}

impl Share {
    pub(super) fn of(scenario: &Scenario) -> Self {
        if let Some(start) = TOGETHER.into_iter().find(|start| scenario.name.starts_with(start)) {
            Self::With(start)
        } else if OWN.into_iter().any(|start| scenario.name.starts_with(start)) {
            Self::Nothing
        } else {
            Self::WithAll
        }
    }
}

/// Scenarios that one worker tells, one after the other.
pub(super) struct Course<'a> {
    pub(super) share: Share,
    pub(super) scenarios: Vec<&'a Scenario>,
}

/// Those that share clusters with all come first: a worker keeps its own as long as there are any.
pub(super) fn courses<'a>(chosen: &[&'a Scenario]) -> Vec<Course<'a>> {
    let mut courses: Vec<Course<'a>> = Vec::new();
    for scenario in chosen {
        let share = Share::of(scenario);
        match courses.iter_mut().find(|course| matches!(share, Share::With(_)) && course.share == share) {
            Some(course) => course.scenarios.push(scenario),
            None => courses.push(Course { share, scenarios: vec![scenario] }),
        }
    }
    courses.sort_by_key(|course| course.share);
    courses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_that_share_clusters_with_some_are_told_by_one_worker() {
        let all = ["scenarios::definitions::a", "scenarios::metro::b", "scenarios::moves::c", "scenarios::metro::d"]
            .map(|name| Scenario { name, body: || Box::pin(async { Ok(()) }), not_real: None, core: false });
        let courses = courses(&all.iter().collect::<Vec<_>>());
        let told: Vec<Vec<&str>> =
            courses.iter().map(|course| course.scenarios.iter().map(|scenario| scenario.name).collect()).collect();
        let metro = vec!["scenarios::metro::b", "scenarios::metro::d"];
        assert_eq!(told, [vec!["scenarios::moves::c"], metro, vec!["scenarios::definitions::a"]]);
    }
}
