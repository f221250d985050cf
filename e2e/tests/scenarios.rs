//! The scenarios of disasters, in the sandbox and in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that something is wrong")]

#[path = "scenarios/mod.rs"]
mod scenarios;

scenarios::every!(kaedama_e2e::embedded_tests);
