//! Moments and browsers, as people read them.

use time::OffsetDateTime;

use super::texts;

/// Characters of a browser's own words that are looked at.
const LOOKED_AT: usize = 400;

/// Each with what it says of itself; the first that is found is it, for they all name others as well.
const BROWSERS: [(&str, &str); 8] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// `3 December 2026, 09:30 UTC`.
#[must_use]
pub fn moment(at: OffsetDateTime) -> String {
    let time = format!("{:02}:{:02}", at.hour(), at.minute());
    texts::current().common.moment.with("day", day(at)).with("time", time).to_string()
}

/// `3 December 2026`.
#[must_use]
pub fn day(at: OffsetDateTime) -> String {
    let words = &texts::current().common;
    let month = &words.months[usize::from(u8::from(at.month())) - 1];
    words.day.with("day", at.day()).with("month", month).with("year", at.year()).to_string()
}

/// `Firefox on Linux`, from what the browser calls itself.
#[must_use]
pub fn device(user_agent: Option<&str>) -> String {
    let words = &texts::current().common;
    let said: String = user_agent.unwrap_or_default().chars().take(LOOKED_AT).collect();
    let named = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| said.contains(mark)).map(|(_, name)| *name)
    };
    match (named(&BROWSERS), named(&SYSTEMS)) {
        (Some(browser), Some(system)) => {
            words.device.with("browser", browser).with("system", system).to_string()
        }
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => words.unknown_device.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_named_as_people_name_them() {
        for (said, name) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 \
                 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 \
                 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.5.0", "A browser"),
        ] {
            assert_eq!(device(Some(said)), name);
        }
        assert_eq!(device(None), "A browser");
    }

    #[test]
    fn moments_are_said_in_full() {
        assert_eq!(moment(OffsetDateTime::UNIX_EPOCH), "1 January 1970, 00:00 UTC");
    }
}
