//! Whom each provider's answer makes somebody, and which answers are not believed: against the world's login providers.

mod believed;
mod grants;
mod people;
mod reach;
mod scene;
