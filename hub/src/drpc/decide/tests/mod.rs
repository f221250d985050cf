//! Tests of the decision.
//!
//! | module | what it holds |
//! |---|---|
//! | [`site`] | a managed cluster of the model: work agent, spoke, storage, application |
//! | [`world`], [`hub`] | the hub of the model: objects with versions, a pass that may crash between any two writes |
//! | [`invariants`] | what must never happen, and what has to be so at rest |
//! | [`actions`] | tables: what each kind of action does step by step |
//! | [`refusals`] | tables: what is refused, and what holds a gate shut |
//! | [`recovery`] | tables: what a hub without memory makes of what it finds |
//! | [`takeover`] | the reference product was in charge before, or in between |
//! | [`deletion`] | tables: protection ends |
//! | [`properties`] | random histories |

mod actions;
mod deletion;
mod hub;
mod invariants;
mod properties;
mod recovery;
mod refusals;
pub(crate) mod site;
mod takeover;
mod world;
