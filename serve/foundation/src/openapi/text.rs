//! The words of doc comments as HTML: paragraphs, lists, emphasis of code. Everything else stays text.

use crate::html::escape;

/// Paragraphs and lists.
pub(super) fn blocks(text: &str) -> String {
    text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()).map(block).collect()
}

fn block(text: &str) -> String {
    let Some(items) = text.strip_prefix("- ") else { return format!("<p>{}</p>\n", line(text)) };
    let items = items.split("\n- ").map(|item| format!("<li>{}</li>\n", line(item)));
    format!("<ul>\n{}</ul>\n", items.collect::<String>())
}

/// Text with `code` in it.
pub(super) fn line(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // A backtick without its other half is one.
    let paired = parts.len() % 2 == 1;
    let mut html = String::new();
    for (number, part) in parts.iter().enumerate() {
        match number % 2 {
            1 if paired => html.push_str(&format!("<code>{}</code>", escape(part))),
            _ if paired || number == 0 => html.push_str(&escape(part)),
            _ => html.push_str(&format!("`{}", escape(part))),
        }
    }
    html
}

/// A value as indented JSON in a box that can be scrolled by keyboard.
pub(super) fn sample(text: &str, label: &str) -> String {
    format!(
        "<pre tabindex=\"0\" role=\"region\" aria-label=\"{}\"><code>{}</code></pre>\n",
        escape(label),
        escape(text)
    )
}

/// A name as part of an anchor: what else could be in it becomes a hyphen.
pub(super) fn slug(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_paragraphs_lists_and_code() {
        assert_eq!(
            blocks("One `a<b`.\n\n- x\n- `y`"),
            "<p>One <code>a&lt;b</code>.</p>\n<ul>\n<li>x</li>\n<li><code>y</code></li>\n</ul>\n"
        );
        assert_eq!(line("5` <wide>"), "5` &lt;wide&gt;");
    }

    #[test]
    fn nothing_in_words_is_markup() {
        for text in ["<script>", "`<script>`", "\"><script>", "- <script>"] {
            assert!(!blocks(text).contains("<script"), "{text}");
            assert!(!sample(text, text).contains("<script"), "{text}");
        }
        assert_eq!(slug("a\"b/{c}"), "a-b--c-");
    }
}
