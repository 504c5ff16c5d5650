//! Where somebody is sent after signing in: a place of this site, whatever was asked for.

use url::Url;

/// A longer one is nobody's bookmark.
const LONGEST: usize = 1024;
/// Where one comes to from everywhere else.
const HOME: &str = "/";

/// The path of this site that is meant; the site's home where none is.
pub fn local(site: &Url, wanted: Option<&str>) -> String {
    wanted.and_then(|wanted| path(site, wanted)).unwrap_or_else(|| HOME.to_owned())
}

fn path(site: &Url, wanted: &str) -> Option<String> {
    // Browsers read a backslash as a slash and leave out tabs and line breaks.
    let plain = wanted.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if wanted.len() > LONGEST || !plain || !wanted.starts_with('/') {
        return None;
    }
    let meant = site.join(wanted).ok().filter(|meant| meant.origin() == site.origin())?;
    let path = &meant[url::Position::BeforePath..url::Position::AfterQuery];
    // Also `/.//host` is a path that begins with two slashes, which is another host to a browser.
    let elsewhere = path.starts_with("//");
    // Signing in does not lead to signing in or out.
    let again = ["/sign-in", "/sign-out"].iter().any(|start| path.starts_with(start));
    (!elsewhere && !again).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(wanted: &str) -> String {
        local(&"https://app.example.test".parse().unwrap(), Some(wanted))
    }

    #[test]
    fn paths_of_this_site_are_kept() {
        for wanted in ["/", "/tasks?state=open&a=%2F%2F", "/projects/1", "/%5Cevil.example"] {
            assert_eq!(of(wanted), wanted);
        }
        assert_eq!(of("/tasks#top"), "/tasks");
        assert_eq!(of("/a/../b"), "/b");
        assert_eq!(of("/@evil.example"), "/@evil.example");
    }

    #[test]
    fn everything_else_leads_home() {
        for wanted in [
            "",
            "tasks",
            "https://evil.example/",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/.//evil.example",
            "/a/..//evil.example",
            "/..//evil.example",
            "/%2e//evil.example",
            "javascript:alert(1)",
            " /tasks",
            "/tasks\r\nSet-Cookie: a=b",
            "/\u{2215}evil",
            "/sign-in?return_to=/sign-in",
            "/sign-out",
            &format!("/{}", "a".repeat(1024)),
        ] {
            assert_eq!(of(wanted), "/", "{wanted:?}");
        }
        assert_eq!(local(&"https://app.example.test".parse().unwrap(), None), "/");
    }
}
