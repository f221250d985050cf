//! The tracing subscriber: lines for people or JSON for machines, on standard error.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::clock::Clock;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured on a terminal, unless `NO_COLOR` is set.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// A log format that is none.
#[derive(Debug, thiserror::Error)]
#[error("unknown log format {0:?}: use text or json")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    /// Also takes `console`, the word of the reference product's `--zap-encoder`.
    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "text" | "console" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(UnknownFormat(other.to_owned())),
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not in the notation of `tracing_subscriber::EnvFilter`.
    #[error("log filter {filter:?} is not valid")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The process has a subscriber already.
    #[error("logging is set up already")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
}

/// The filter that stands for a level of the reference product's `--zap-log-level`: a name, or a verbosity that grows
/// with the number. A word that it does not know is passed on, so that an `EnvFilter` may be given in its place.
#[must_use]
pub fn filter_for_level(level: &str) -> String {
    match level {
        "panic" | "dpanic" | "fatal" => "error".to_owned(),
        "0" => "info".to_owned(),
        "1" => "debug".to_owned(),
        number if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => "trace".to_owned(),
        other => other.to_owned(),
    }
}

/// Installs the process's subscriber. `RUST_LOG`, when set, wins over `filter`; the times in the lines are those of
/// `clock`.
///
/// # Errors
///
/// [`LogError`] when the filter cannot be parsed or a subscriber is there already.
pub fn init(format: Format, filter: &str, clock: Clock) -> Result<(), LogError> {
    let filter = std::env::var("RUST_LOG").ok().filter(|own| !own.is_empty()).unwrap_or_else(|| filter.to_owned());
    let filter = EnvFilter::try_new(&filter).map_err(|source| LogError::Filter { filter, source })?;
    let lines = tracing_subscriber::fmt::layer().with_timer(LineTime(clock)).with_writer(std::io::stderr);
    match format {
        Format::Text => {
            let no_color = std::env::var_os("NO_COLOR");
            let lines = lines.with_ansi(colored(no_color.as_deref(), std::io::stderr().is_terminal()));
            tracing_subscriber::registry().with(filter).with(lines).try_init()?;
        }
        Format::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
            tracing_subscriber::registry().with(filter).with(lines).try_init()?;
        }
    }
    Ok(())
}

/// Colour is for terminals, and never where the user asked for none (<https://no-color.org>: set and not empty).
fn colored(no_color: Option<&std::ffi::OsStr>, terminal: bool) -> bool {
    terminal && no_color.is_none_or(std::ffi::OsStr::is_empty)
}

struct LineTime(Clock);

impl FormatTime for LineTime {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        write!(out, "{:.3}", self.0.now())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn formats_are_parsed_and_others_refused() {
        assert_eq!("json".parse::<Format>().unwrap(), Format::Json);
        assert_eq!("console".parse::<Format>().unwrap(), Format::Text);
        assert!("xml".parse::<Format>().unwrap_err().to_string().contains("xml"));
    }

    #[test]
    fn no_color_is_honoured() {
        assert!(colored(None, true));
        assert!(colored(Some(OsStr::new("")), true));
        assert!(!colored(Some(OsStr::new("1")), true));
        assert!(!colored(None, false));
    }

    #[test]
    fn levels_of_the_reference_product_are_understood() {
        for (level, filter) in [
            ("info", "info"),
            ("debug", "debug"),
            ("0", "info"),
            ("1", "debug"),
            ("7", "trace"),
            ("panic", "error"),
            ("warn,kube=debug", "warn,kube=debug"),
        ] {
            assert_eq!(filter_for_level(level), filter, "{level}");
            assert!(EnvFilter::try_new(filter_for_level(level)).is_ok(), "{level}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lines_carry_the_time_of_the_clock_in_milliseconds() {
        let clock = Clock::starting_at("2030-01-02T03:04:05.678901Z".parse().unwrap());
        let mut line = String::new();
        LineTime(clock).format_time(&mut Writer::new(&mut line)).unwrap();
        assert_eq!(line, "2030-01-02T03:04:05.678Z");
    }
}
