//! kubectl-dr: look at, plan and carry out disaster recovery; and the demo.
fn main() {}
