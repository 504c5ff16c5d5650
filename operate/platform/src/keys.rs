//! Public keys of SSH, one line each.

/// Kinds of key that sshd takes.
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];

/// The line without space around it, or what is wrong with it.
pub(crate) fn public_key(line: &str) -> Result<String, String> {
    let line = line.trim();
    if line.contains("PRIVATE KEY") {
        return Err(
            "it is a private key, which stays with its owner; name the file that ends in .pub".to_owned()
        );
    }
    if line.contains(['\n', '\r']) {
        return Err("it is more than one line".to_owned());
    }
    let mut words = line.split_ascii_whitespace();
    let kind = words.next().unwrap_or_default();
    if !KINDS.contains(&kind) {
        return Err(format!("it does not begin with a kind of key, such as {}", KINDS[0]));
    }
    match words.next() {
        Some(body) if is_body(kind, body) => Ok(line.to_owned()),
        Some(_) => Err(format!("what follows {kind} is not the key's base64")),
        None => Err(format!("nothing follows {kind}")),
    }
}

/// Whether the base64 is a row of fields, each after its length, of which the first names the kind.
fn is_body(kind: &str, body: &str) -> bool {
    let Some(bytes) = decode(body) else { return false };
    let (mut rest, mut fields) = (bytes.as_slice(), Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let Some((field, after)) = after.split_at_checked(u32::from_be_bytes(*length) as usize) else {
            return false;
        };
        fields.push(field);
        rest = after;
    }
    rest.is_empty() && fields.len() >= 2 && fields[0] == kind.as_bytes()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for digit in digits.bytes() {
        held = (held << 6) | u32::from(sextet(digit)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

fn sextet(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::public_key;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS ops";

    #[test]
    fn takes_a_key_with_its_comment() {
        assert_eq!(public_key(&format!(" {KEY}\n")).as_deref(), Ok(KEY));
    }

    #[test]
    fn says_what_is_wrong() {
        let cut = &KEY[..40];
        let cases = [
            ("", "kind of key"),
            ("ssh-ed25519", "nothing follows"),
            (cut, "base64"),
            ("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS", "base64"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ];
        for (line, expected) in cases {
            let wrong = public_key(line).unwrap_err();
            assert!(wrong.contains(expected), "{line:?}: {wrong}");
        }
    }
}
