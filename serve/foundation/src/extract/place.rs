//! From where deserialization failed to a JSON pointer and a name of what is wrong.

use serde_path_to_error::{Path, Segment};

/// Characters of a message or name from outside that an answer repeats.
const REPEATED_LENGTH: usize = 200;

/// A JSON pointer (RFC 6901) with this segment added.
pub(super) fn push(pointer: &mut String, segment: &str) {
    pointer.push('/');
    for character in segment.chars().take(REPEATED_LENGTH) {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// The pointer of a path of `serde_path_to_error`.
pub(super) fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            // An enum's variant is the key of an object where it has content; where it has none it is the value.
            Segment::Enum { variant } => push(&mut pointer, variant),
            Segment::Unknown => {}
        }
    }
    pointer
}

/// The pointer of a path of `serde_ignored`.
pub(super) fn ignored(path: &serde_ignored::Path<'_>) -> String {
    match path {
        serde_ignored::Path::Root => String::new(),
        serde_ignored::Path::Seq { parent, index } => {
            let mut pointer = ignored(parent);
            push(&mut pointer, &index.to_string());
            pointer
        }
        serde_ignored::Path::Map { parent, key } => {
            let mut pointer = ignored(parent);
            push(&mut pointer, key);
            pointer
        }
        serde_ignored::Path::Some { parent }
        | serde_ignored::Path::NewtypeStruct { parent }
        | serde_ignored::Path::NewtypeVariant { parent } => ignored(parent),
    }
}

/// What is wrong with a value, from what serde says about it: its stable name, the pointer to it, the message.
pub(super) fn explain(message: &str, mut pointer: String) -> (&'static str, String, String) {
    let code = [
        ("unknown field", "unknown-field"),
        ("missing field", "missing-field"),
        ("duplicate field", "duplicate-field"),
        ("unknown variant", "unknown-variant"),
        ("invalid type", "wrong-type"),
        ("invalid length", "wrong-length"),
    ]
    .into_iter()
    .find_map(|(start, code)| message.starts_with(start).then_some(code))
    .unwrap_or("invalid-value");
    // These are reported at the object; the pointer leads to the member.
    if matches!(code, "unknown-field" | "missing-field" | "duplicate-field")
        && let Some(name) = message.split('`').nth(1)
    {
        let mut suffix = String::new();
        push(&mut suffix, name);
        if !pointer.ends_with(&suffix) {
            pointer.push_str(&suffix);
        }
    }
    (code, pointer, shorten(message))
}

/// The message without its line and column (the pointer says where), and not longer than a person reads.
fn shorten(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    message.chars().filter(|character| !character.is_control()).take(REPEATED_LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_escaped() {
        let mut pointer = String::new();
        push(&mut pointer, "a/b");
        push(&mut pointer, "c~d");
        assert_eq!(pointer, "/a~1b/c~0d");
    }

    #[test]
    fn messages_lose_their_position_and_their_length() {
        let long = format!("invalid type: string \"{}\", expected u32 at line 1 column 7", "x".repeat(4000));
        let (code, pointer, detail) = explain(&long, "/a".to_owned());
        assert_eq!((code, pointer.as_str(), detail.len()), ("wrong-type", "/a", REPEATED_LENGTH));
        let (_, pointer, detail) = explain("missing field `name` at line 1 column 2", String::new());
        assert_eq!((pointer.as_str(), detail.as_str()), ("/name", "missing field `name`"));
    }
}
