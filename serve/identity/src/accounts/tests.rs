//! Accounts with a real database, one module a question.

mod arriving;
mod hijacking;
mod leaving;
mod scene;
