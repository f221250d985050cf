//! The S3 client of `kaedama-shared` against the S3 stores of the sandbox.
//!
//! Everything but the tests of HTTP and TLS runs in this process, without a socket and in virtual time.

#![allow(clippy::unwrap_used, reason = "a test states its expectation so, helpers of tests too")]

#[path = "s3/capture.rs"]
mod capture;
#[path = "s3/client.rs"]
mod client;
#[path = "s3/epoch.rs"]
mod epoch;
#[path = "s3/ramen_layout.rs"]
mod ramen_layout;
#[path = "s3/tls.rs"]
mod tls;
#[path = "s3/world.rs"]
mod world;
