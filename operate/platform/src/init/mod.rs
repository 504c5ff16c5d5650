//! `bastide init`: platform files for real servers and for labs, and what makes a server reachable.

mod answers;
mod cloud_init;
mod render;
#[cfg(test)]
mod tests;

pub use answers::{Answers, CdnAnswer, Privates, WrongAnswer};
pub use cloud_init::cloud_init;
pub use render::{render, render_lab};

/// One question a field: each function reads an answer, or says what is wrong with it and how it should look.
pub mod answer {
    pub use super::answers::{
        cdn, domain, email, host_address, login, name, operating_system, operator_network, private_network,
        public_address, public_key,
    };
}
