//! The proof: properties of the pure parts, a search through all orders of events, a simulation in real time, and for
//! each rule the counterexample that appears when it is taken away.

mod guards;
mod scenarios;
mod search;
mod simulation;
