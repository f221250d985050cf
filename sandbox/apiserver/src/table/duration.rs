//! Human durations.
/// A duration as kubectl prints it: `5m`, `3h20m`, `7d`. `seconds` below zero gives `<invalid>`.
pub fn human_duration(seconds: i64) -> String { let _ = seconds; unimplemented!() }
