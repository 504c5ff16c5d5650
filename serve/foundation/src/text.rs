//! Texts as people may send them: of a length within bounds, and without control characters.
//!
//! The description of an API says so of every text in the body of a request that has a length and says nothing of its form:
//! a text that must not be empty is a [`Line`], any other is [`Prose`].

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use time::Date;

/// What a [`Line`] is, for whoever sends one: no control character, and one character at least that can be seen.
pub(crate) const LINE: &str =
    r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";
/// What [`Prose`] is, likewise: no control character but line breaks and tabs.
pub(crate) const PROSE: &str = r"^(?:[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]|\r\n)*$";

/// A text in one line, 1 to `MOST` characters; white space around it is taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Line<const MOST: usize>(String);

/// A text in any number of lines, up to `MOST` characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Prose<const MOST: usize>(String);

/// A day of the years 1 to 9999: what is written `YYYY-MM-DD`, and what databases and calendars agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(Date);

impl Day {
    /// The day.
    #[must_use]
    pub fn date(self) -> Date {
        self.0
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let date = Date::deserialize(deserializer)?;
        if (1..=9999).contains(&date.year()) {
            Ok(Self(date))
        } else {
            Err(D::Error::custom("a day is of the years 0001 to 9999"))
        }
    }
}

impl<const MOST: usize> Line<MOST> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MOST: usize> Prose<MOST> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<'de, const MOST: usize> Deserialize<'de> for Line<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.chars().any(char::is_control) {
            return Err(D::Error::custom("a text in one line has no control characters"));
        }
        let count = text.chars().count();
        if count > MOST {
            return Err(D::Error::custom(format!("invalid length {count}: at most {MOST} characters")));
        }
        match text.trim_matches(is_blank) {
            "" => Err(D::Error::custom("invalid length 0: this text must not be empty")),
            text => Ok(Self(text.to_owned())),
        }
    }
}

/// White space as regular expressions have it: with the mark of byte order, which nobody sees.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

impl<'de, const MOST: usize> Deserialize<'de> for Prose<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let count = text.chars().count();
        if count > MOST {
            return Err(D::Error::custom(format!("invalid length {count}: at most {MOST} characters")));
        }
        let text = text.replace("\r\n", "\n");
        if text.chars().any(|each| each.is_control() && !matches!(each, '\n' | '\t')) {
            return Err(D::Error::custom("a text has no control characters but line breaks and tabs"));
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> Result<Line<5>, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn lines_are_trimmed_and_bounded() {
        assert_eq!(line("\" ab \"").unwrap().as_str(), "ab");
        for bad in
            ["\"\"", "\"   \"", "\"\\ufeff\"", "\"abcdef\"", "\"abcde \"", "\"a\\nb\"", "\"a\\u0007\"", "1"]
        {
            assert!(line(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prose_has_lines() {
        let prose = |json: &str| serde_json::from_str::<Prose<5>>(json);
        assert_eq!(prose("\"a\\r\\nb\"").unwrap().as_str(), "a\nb");
        assert_eq!(prose("\"\"").unwrap().as_str(), "");
        for bad in ["\"abcdef\"", "\"a\\u0007\""] {
            assert!(prose(bad).is_err(), "{bad}");
        }
    }
}
