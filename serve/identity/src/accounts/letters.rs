//! What people are told by mail of their accounts.

use foundation::write::Unit;
use serde_json::Value;

use super::profile::Profile;
use crate::errands::{self, Errand, Letter};
use crate::pages::language;

impl Profile {
    /// Where the person can be told something: nowhere, unless somebody vouches that the address is the person's.
    #[must_use]
    pub fn letterbox(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.email_vouched)
    }
}

/// Leaves a letter with the write, to each of these addresses once.
pub fn tell<'a>(
    unit: &mut Unit,
    to: impl IntoIterator<Item = &'a str>,
    letter: Letter,
    values: &[(&str, &str)],
) {
    let language = ("language", language::current());
    let values: serde_json::Map<String, Value> =
        values.iter().chain([&language]).map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let mut told: Vec<String> = Vec::new();
    for address in to {
        if told.iter().any(|known| known.eq_ignore_ascii_case(address)) {
            continue;
        }
        told.push(address.to_owned());
        let errand =
            Errand::Mail { to: address.to_owned(), letter: letter.name().to_owned(), values: values.clone() };
        errands::leave_with(unit, &errand);
    }
}
