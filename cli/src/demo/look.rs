//! How it stands at a moment: where the application lives, what it has written, how far the other side is behind.

use super::paint::Paint;

/// Length of a line.
const WIDTH: usize = 73;

fn shortened(text: &str, width: usize, paint: &Paint) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let start: String = text.chars().take(width.saturating_sub(1)).collect();
    start + if paint.unicode { "…" } else { "~" }
}

/// What a cluster is to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The cluster does not answer.
    Down,
    /// It does not run there.
    Idle,
    /// It runs there.
    Runs,
}

/// How it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Name of the application.
    pub app: String,
    /// The clusters, in order.
    pub places: Vec<(String, Place)>,
    /// Records that were acknowledged to it.
    pub records: u64,
    /// Seconds since the other side had everything; `None` where it never had.
    pub lag: Option<f64>,
    /// Seconds between two shipments of the storage.
    pub every: f64,
    /// Progression, or phase when there is none, as the DRPlacementControl says it.
    pub phase: String,
}

impl Look {
    /// One line of at most 73 characters.
    pub fn line(&self, paint: &Paint) -> String {
        let width = self.app.chars().count().max(4);
        let mut parts: Vec<String> = Vec::new();
        for (cluster, place) in &self.places {
            parts.push(match place {
                Place::Down => format!("{cluster} {}", paint.red(&format!("[{:^width$}]", "down"))),
                Place::Idle => format!("{cluster} {}", paint.dim(&format!("[{:^width$}]", ""))),
                Place::Runs => format!("{cluster} [{}]", paint.green(&format!("{:^width$}", self.app))),
            });
        }
        parts.push(format!("{} records", self.records));
        parts.push(match self.lag {
            None => "lag -".to_owned(),
            // One interval and what it takes to ship is normal; more than two says that nothing follows.
            Some(lag) if lag <= 2.0 * self.every => format!("lag {lag:.1} s"),
            Some(lag) => paint.yellow(&format!("lag {lag:.1} s")),
        });
        let taken = 2 + self.places.iter().map(|(cluster, _)| cluster.chars().count() + width + 5).sum::<usize>();
        let taken = taken + format!("{} records  lag {:.1} s", self.records, self.lag.unwrap_or(0.0)).len();
        parts.push(paint.dim(&shortened(&self.phase, WIDTH.saturating_sub(taken), paint)));
        parts.join("  ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_where_the_application_lives() {
        let look = Look {
            app: "orders".to_owned(),
            places: vec![("dr1".to_owned(), Place::Down), ("dr2".to_owned(), Place::Runs)],
            records: 231,
            lag: Some(9.25),
            every: 3.0,
            phase: "FailedOver".to_owned(),
        };
        assert_eq!(look.line(&Paint::PLAIN), "dr1 [ down ]  dr2 [orders]  231 records  lag 9.2 s  FailedOver");
        let long = Look { phase: "EnsuringVolumesAreSecondary".to_owned(), ..look.clone() };
        assert_eq!(long.line(&Paint::PLAIN).len(), WIDTH);
        let idle = Look { places: vec![("dr1".to_owned(), Place::Idle)], lag: None, ..look };
        assert_eq!(idle.line(&Paint::PLAIN), "dr1 [      ]  231 records  lag -  FailedOver");
    }
}
