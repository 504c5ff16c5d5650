//! Versions of servers, as far as floors need them.

use std::fmt;

/// A release: major, minor, patch. What a package adds after them does not matter to a floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major.
    pub major: u16,
    /// Minor.
    pub minor: u16,
    /// Patch.
    pub patch: u16,
}

impl Version {
    /// The release `major.minor.patch`.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// Reads `1`, `1.26` or `1.26.1`; what is left out is 0.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = [0u16; 3];
        let parts: Vec<&str> = text.split('.').collect();
        if parts.len() > numbers.len() {
            return None;
        }
        for (number, part) in numbers.iter_mut().zip(&parts) {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            *number = digits.then(|| part.parse().ok()).flatten()?;
        }
        Some(Self::new(numbers[0], numbers[1], numbers[2]))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn reads_releases_and_compares_them() {
        assert_eq!(Version::parse("1.26.1"), Some(Version::new(1, 26, 1)));
        assert_eq!(Version::parse("1.21"), Some(Version::new(1, 21, 0)));
        assert!(Version::new(1, 9, 0) < Version::new(1, 26, 1));
    }

    #[test]
    fn refuses_what_is_no_release() {
        for text in ["", "1.", "1.2.3.4", "v1", "1.26.1-1", "+1", "1.70000"] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }
}
