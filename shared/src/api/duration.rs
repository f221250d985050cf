//! Durations as Go writes them, and the scheduling intervals of policies.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// A signed duration in nanoseconds with Go's text form, for example `5m0s` or `2m43.123456s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GoDuration(i64);

/// The text is no Go duration, or it does not fit into 64 bits of nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration such as 5m0s")]
pub struct InvalidDuration {
    /// What was read.
    pub text: String,
}

impl GoDuration {
    /// A duration of whole seconds; what does not fit is cut to the largest one.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND as i64))
    }

    /// A duration of nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    /// The duration in nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The duration in seconds, as metrics want it.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / SECOND as f64
    }

    /// The duration for timers; a negative one is zero.
    #[must_use]
    pub fn to_std(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl From<jiff::SignedDuration> for GoDuration {
    fn from(duration: jiff::SignedDuration) -> Self {
        let limit = if duration.is_negative() { i64::MIN } else { i64::MAX };
        Self(i64::try_from(duration.as_nanos()).unwrap_or(limit))
    }
}

impl FromStr for GoDuration {
    type Err = InvalidDuration;

    /// Go's grammar: an optional sign, then `0` or one or more decimal numbers with a unit.
    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        parse(text).map(Self).ok_or_else(|| InvalidDuration { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (value, after) = term(rest)?;
        total = total.checked_add(value).filter(|total| *total <= 1 << 63)?;
        rest = after;
    }
    if negative { 0_i64.checked_sub_unsigned(total) } else { i64::try_from(total).ok() }
}

/// One number with its unit, in nanoseconds, and what follows it.
fn term(text: &str) -> Option<(u64, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after) => digits(after),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let scale = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    };
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    let value = whole.checked_mul(scale)?.checked_add(fraction_of(fraction, scale))?;
    Some((value, rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// `0.<digits>` of a unit in nanoseconds, by Go's own arithmetic: digits that no longer fit are dropped, and the
/// product is a floating-point one.
fn fraction_of(digits: &str, scale: u64) -> u64 {
    let (mut value, mut divisor) = (0_u64, 1.0_f64);
    for digit in digits.bytes() {
        let next = value.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit - b'0')));
        match next.filter(|next| *next <= 1 << 63) {
            Some(next) => value = next,
            None => break,
        }
        divisor *= 10.0;
    }
    (value as f64 * (scale as f64 / divisor)) as u64
}

impl fmt::Display for GoDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let text = match total {
            0 => "0s".to_owned(),
            1..MICROSECOND => format!("{sign}{total}ns"),
            MICROSECOND..MILLISECOND => format!("{sign}{}\u{b5}s", decimal(total, MICROSECOND)),
            MILLISECOND..SECOND => format!("{sign}{}ms", decimal(total, MILLISECOND)),
            SECOND..MINUTE => format!("{sign}{}s", decimal(total, SECOND)),
            MINUTE..HOUR => format!("{sign}{}m{}s", total / MINUTE, decimal(total % MINUTE, SECOND)),
            _ => {
                let (hours, minutes) = (total / HOUR, total % HOUR / MINUTE);
                format!("{sign}{hours}h{minutes}m{}s", decimal(total % MINUTE, SECOND))
            }
        };
        formatter.pad(&text)
    }
}

/// `value / unit` with as many decimals as are needed.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let fraction = format!("{rest:0width$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for GoDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "GoDuration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// Seconds of a policy's `schedulingInterval`: `<n>d` is days, everything else a Go duration, empty is zero.
///
/// Zero means that the policy replicates nothing asynchronously.
///
/// # Errors
/// [`InvalidDuration`] when the text is neither, or negative.
pub fn parse_scheduling_interval(text: &str) -> Result<u64, InvalidDuration> {
    let invalid = || InvalidDuration { text: text.to_owned() };
    if text.is_empty() {
        return Ok(0);
    }
    if let Some(days) = text.strip_suffix('d') {
        let days = Some(days).filter(|days| days.bytes().all(|b| b.is_ascii_digit()));
        let days: u64 = days.and_then(|days| days.parse().ok()).ok_or_else(invalid)?;
        return days.checked_mul(86_400).ok_or_else(invalid);
    }
    let nanoseconds = text.parse::<GoDuration>()?.as_nanos();
    u64::try_from(nanoseconds).map(|n| n / SECOND).map_err(|_| invalid())
}

#[cfg(test)]
#[path = "duration_tests.rs"]
mod tests;
