//! Converging hosts: resources, plans, the agent on the host, and the way to it.

pub mod difference;
pub mod facts;
pub mod host;
pub mod resource;
