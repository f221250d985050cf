//! The scenarios of bad input, in the sandbox and in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that something is wrong")]

#[path = "refusals/mod.rs"]
mod refusals;

refusals::every!(kaedama_e2e::embedded_tests);
