//! A whole disaster-recovery world in one process: clusters, OCM, S3, storage arrays, applications, faults.

pub mod ocm;

pub mod s3;
