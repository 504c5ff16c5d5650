//! Texts as people may send them: of a length within bounds, and without control characters.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

/// A text in one line, 1 to `MOST` characters; white space around it is taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Line<const MOST: usize>(String);

/// A text in any number of lines, up to `MOST` characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Prose<const MOST: usize>(String);

impl<const MOST: usize> Line<MOST> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MOST: usize> Prose<MOST> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
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
        let text = text.trim();
        match text.chars().count() {
            0 => Err(D::Error::custom("invalid length 0: this text must not be empty")),
            count if count > MOST => {
                Err(D::Error::custom(format!("invalid length {count}: at most {MOST} characters")))
            }
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl<'de, const MOST: usize> Deserialize<'de> for Prose<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Forms send line breaks as two characters.
        let text = String::deserialize(deserializer)?.replace("\r\n", "\n");
        if text.chars().any(|each| each.is_control() && !matches!(each, '\n' | '\t')) {
            return Err(D::Error::custom("a text has no control characters but line breaks and tabs"));
        }
        let count = text.chars().count();
        if count > MOST {
            return Err(D::Error::custom(format!("invalid length {count}: at most {MOST} characters")));
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
        for bad in ["\"\"", "\"   \"", "\"abcdef\"", "\"a\\nb\"", "\"a\\u0007\"", "1"] {
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
