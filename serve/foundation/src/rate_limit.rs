//! Rate limits: GCRA in Valkey, per address, token and person, by class of route.

pub mod gcra;
