//! The scenarios of YAML that is usual with RamenDR, in the sandbox and in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that something is wrong")]

#[path = "yaml/mod.rs"]
mod yaml;

yaml::every!(kaedama_e2e::embedded_tests);
