//! API tokens: a prefix and a checksum by which scanners find a leaked one, and 256 random bits between them.
//!
//! A token reads `<prefix>_<43 characters><6 characters>`: the random bytes in base 62, then the CRC-32 of everything
//! before it, in base 62 as well. Only its SHA-256 is ever stored: for 256 random bits a slow hash adds nothing.

use std::fmt;

use ring::digest;

use crate::clock::Randomness;

const RANDOM_BYTES: usize = 32;
/// 62^43 is just above 2^256.
const RANDOM_DIGITS: usize = 43;
/// 62^6 is above 2^32.
const CHECKSUM_DIGITS: usize = 6;
const HINT_LENGTH: usize = 4;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What every token of one product starts with. Scanners know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// The text is no prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a token's prefix is 2 to 16 characters: a letter in lower case, then letters in lower case and digits"
)]
pub struct PrefixError;

impl Prefix {
    /// The prefix without its underscore.
    ///
    /// # Errors
    /// [`PrefixError`].
    pub fn new(text: &str) -> Result<Self, PrefixError> {
        let starts = text.starts_with(|first: char| first.is_ascii_lowercase());
        let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if starts && plain && (2..=16).contains(&text.len()) {
            Ok(Self(format!("{text}_")))
        } else {
            Err(PrefixError)
        }
    }

    /// A regular expression for scanners of leaks.
    #[must_use]
    pub fn pattern(&self) -> String {
        format!("{}[0-9A-Za-z]{{{}}}", self.0, RANDOM_DIGITS + CHECKSUM_DIGITS)
    }
}

/// The SHA-256 of a token: what the database knows of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self(hash)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenHash(…)")
    }
}

/// A new token. Printing it for programmers prints nothing of it; [`Token::reveal`] is for the one answer that shows it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Makes one.
    #[must_use]
    pub fn new(prefix: &Prefix, randomness: &dyn Randomness) -> Self {
        let mut random = [0; RANDOM_BYTES];
        randomness.fill(&mut random);
        let mut text = format!("{}{}", prefix.0, base62(&random, RANDOM_DIGITS));
        text += &checksum(&text);
        Self(text)
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }

    /// Its last characters, by which a person recognizes it in a list. They are of the checksum.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.0[self.0.len() - HINT_LENGTH..]
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// Why a text cannot be a token of this product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It does not start as a token does.
    #[error("it does not start as a token of this API does")]
    Prefix,
    /// It is too short or too long.
    #[error("its length is not that of a token; was it cut off, or something copied with it?")]
    Length,
    /// Something else than letters and digits, or the checksum does not fit.
    #[error("its checksum does not fit; was it mistyped?")]
    Checksum,
}

/// The hash of a text that has the form of a token. Everything else is refused before any database is asked.
///
/// Nothing here depends on a secret: the checksum is public, and the hash is looked up as a whole, of which nobody can
/// choose the bytes. So there is no time to be measured that tells anything of a stored token.
///
/// # Errors
/// [`Malformed`].
pub fn parse(prefix: &Prefix, text: &str) -> Result<TokenHash, Malformed> {
    let secret = text.strip_prefix(prefix.0.as_str()).ok_or(Malformed::Prefix)?;
    if secret.len() != RANDOM_DIGITS + CHECKSUM_DIGITS {
        return Err(Malformed::Length);
    }
    if !secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Malformed::Checksum);
    }
    let (body, sum) = text.split_at(text.len() - CHECKSUM_DIGITS);
    if checksum(body) != sum {
        return Err(Malformed::Checksum);
    }
    Ok(TokenHash::of(text))
}

/// A big-endian number in base 62, filled with zeros to `digits`, which must suffice.
fn base62(number: &[u8], digits: usize) -> String {
    let mut number = number.to_vec();
    let mut text = vec![ALPHABET[0]; digits];
    for digit in text.iter_mut().rev() {
        let mut remainder = 0;
        for byte in &mut number {
            let value = remainder * 256 + u32::from(*byte);
            *byte = (value / 62).to_be_bytes()[3];
            remainder = value % 62;
        }
        *digit = ALPHABET[remainder as usize];
    }
    text.into_iter().map(char::from).collect()
}

fn checksum(body: &str) -> String {
    base62(&crc32(body.as_bytes()).to_be_bytes(), CHECKSUM_DIGITS)
}

/// CRC-32 as in IEEE 802.3, as scanners compute it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandomness;
    use crate::clock::testing::CountingRandomness;
    use crate::garbage::Garbage;

    fn prefix() -> Prefix {
        Prefix::new("bst").unwrap()
    }

    #[test]
    fn the_checksum_is_the_crc32_that_everybody_knows() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(base62(&[0xff; 32], RANDOM_DIGITS).len(), RANDOM_DIGITS);
        assert_eq!(base62(&61_u32.to_be_bytes(), 2), "0z");
        assert_eq!(base62(&62_u32.to_be_bytes(), 2), "10");
        assert_eq!(base62(&[0xff; 4], CHECKSUM_DIGITS), "4gfFC3");
    }

    #[test]
    fn a_token_has_its_form_and_is_read_back() {
        for _ in 0..200 {
            let token = Token::new(&prefix(), &SystemRandomness);
            assert_eq!(token.reveal().len(), 4 + 43 + 6);
            assert_eq!(parse(&prefix(), token.reveal()), Ok(token.hash()));
            assert!(token.reveal().ends_with(token.hint()));
        }
        assert_eq!(prefix().pattern(), "bst_[0-9A-Za-z]{49}");
    }

    #[test]
    fn debugging_output_has_nothing_of_the_secret() {
        let token = Token::new(&prefix(), &CountingRandomness::default());
        assert_eq!(format!("{token:?} {:?}", token.hash()), "Token(…) TokenHash(…)");
    }

    #[test]
    fn every_cut_and_every_changed_character_is_refused() {
        let token = Token::new(&prefix(), &SystemRandomness);
        let text = token.reveal();
        for length in 0..text.len() {
            assert!(parse(&prefix(), &text[..length]).is_err());
        }
        assert_eq!(parse(&prefix(), &format!("{text}0")), Err(Malformed::Length));
        for position in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[position] = if changed[position] == b'a' { b'b' } else { b'a' };
            assert!(parse(&prefix(), std::str::from_utf8(&changed).unwrap()).is_err(), "at {position}");
        }
        assert_eq!(parse(&Prefix::new("other").unwrap(), text), Err(Malformed::Prefix));
    }

    #[test]
    fn garbage_is_refused() {
        let mut garbage = Garbage::new(2);
        for _ in 0..10_000 {
            let text = format!("bst_{}", garbage.text("0Zaz_\u{e9}\u{1f600}\0 ", 60));
            assert!(parse(&prefix(), &text).is_err());
        }
    }

    #[test]
    fn prefixes_are_plain() {
        for text in ["", "a", "A1", "1a", "a_b", "a-b", "abcdefghijklmnopq"] {
            assert_eq!(Prefix::new(text), Err(PrefixError), "{text}");
        }
    }
}
