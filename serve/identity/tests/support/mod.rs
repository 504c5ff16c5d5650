//! The issuer's binary as the platform starts it, and browsers that visit it.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod browser;
pub mod people;
pub mod stage;
