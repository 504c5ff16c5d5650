//! Fingerprints of OpenPGP keys, so that a package repository is trusted by a key that the code pins.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

/// Why a key's fingerprint could not be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not an ASCII-armoured public key.
    #[error("it is not an ASCII-armoured OpenPGP public key")]
    Armour,
    /// Armoured, but what is inside does not begin with a public key of version 4.
    #[error("it does not begin with an OpenPGP public key of version 4")]
    Packet,
}

/// The fingerprint of the first key in `armoured`: 40 hexadecimal digits (RFC 4880, section 12.2).
///
/// # Errors
/// When `armoured` is no armoured version 4 public key.
pub fn fingerprint(armoured: &str) -> Result<String, KeyError> {
    let bytes = dearmour(armoured)?;
    let body = first_packet(&bytes).ok_or(KeyError::Packet)?;
    if body.first() != Some(&4) {
        return Err(KeyError::Packet);
    }
    let length = u16::try_from(body.len()).map_err(|_| KeyError::Packet)?;
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(&[0x99]);
    context.update(&length.to_be_bytes());
    context.update(body);
    Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02X}")).collect())
}

fn dearmour(armoured: &str) -> Result<Vec<u8>, KeyError> {
    let (_, rest) = armoured.split_once("-----BEGIN PGP PUBLIC KEY BLOCK-----").ok_or(KeyError::Armour)?;
    let (block, _) = rest.split_once("-----END PGP PUBLIC KEY BLOCK-----").ok_or(KeyError::Armour)?;
    // Headers end at the first empty line; the checksum is the last line and begins with `=`.
    let lines = block.lines().map(str::trim).skip_while(|line| line.is_empty());
    let body: String =
        lines.filter(|line| !line.contains(": ")).filter(|line| !line.starts_with('=')).collect();
    STANDARD.decode(body).map_err(|_| KeyError::Armour)
}

/// Body of the first packet, if it is a public key (tag 6).
fn first_packet(bytes: &[u8]) -> Option<&[u8]> {
    let (&tag, rest) = bytes.split_first()?;
    if tag & 0x80 == 0 {
        return None;
    }
    let (kind, length, body) = if tag & 0x40 == 0 {
        let (length, body) = old_length(tag & 3, rest)?;
        ((tag >> 2) & 0x0f, length, body)
    } else {
        let (length, body) = new_length(rest)?;
        (tag & 0x3f, length, body)
    };
    (kind == 6).then(|| body.get(..length)).flatten()
}

fn old_length(size: u8, bytes: &[u8]) -> Option<(usize, &[u8])> {
    match (size, bytes) {
        (0, [a, rest @ ..]) => Some((usize::from(*a), rest)),
        (1, [a, b, rest @ ..]) => Some((usize::from(u16::from_be_bytes([*a, *b])), rest)),
        _ => None,
    }
}

fn new_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [a @ 0..=191, rest @ ..] => Some((usize::from(*a), rest)),
        [a @ 192..=223, b, rest @ ..] => Some(((usize::from(*a) - 192) * 256 + usize::from(*b) + 192, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyError, fingerprint};

    const KEY: &str = include_str!("../keys/pgdg.asc");

    #[test]
    fn computes_what_gpg_shows() {
        assert_eq!(fingerprint(KEY).unwrap(), "B97B0AFCAA1A47F044F244A07FCC7D46ACCC4CF8");
    }

    #[test]
    fn another_key_has_another_fingerprint() {
        let tampered = KEY.replacen("mQINBE6X", "mQINBE6Y", 1);
        assert_ne!(tampered, KEY);
        assert_ne!(fingerprint(&tampered).unwrap(), fingerprint(KEY).unwrap());
    }

    #[test]
    fn refuses_what_is_no_key() {
        assert_eq!(fingerprint("hello"), Err(KeyError::Armour));
        let signature = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\niA==\n-----END PGP PUBLIC KEY BLOCK-----";
        assert_eq!(fingerprint(signature), Err(KeyError::Packet));
        let cut = KEY.lines().take(5).chain(["-----END PGP PUBLIC KEY BLOCK-----"]).collect::<Vec<_>>();
        assert_eq!(fingerprint(&cut.join("\n")), Err(KeyError::Packet));
    }
}
