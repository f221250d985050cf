//! DRPolicy: which clusters belong together, how often their volumes are replicated, and by which classes.

pub mod controller;
pub mod decide;
pub mod peers;
