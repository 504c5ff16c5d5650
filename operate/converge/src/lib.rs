//! Converging hosts: resources, plans, the agent on the host, and the way to it.

pub mod accounts;
pub mod agent;
mod apt;
pub mod difference;
pub mod dpkg;
pub mod facts;
pub mod files;
pub mod host;
pub mod protocol;
pub mod resource;
pub mod run;
pub mod session;
pub mod ssh;
pub mod systemd;
