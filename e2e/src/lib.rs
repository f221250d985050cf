//! The scenarios, each stating its outcome in bytes and objects; and the benchmark.
