//! Looks at a page as different people have it: narrow and wide, light and dark; axe-core finds nothing, and nothing
//! sticks out. Where SCREENSHOTS names a folder, a picture of each is left there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::chromium::Browser;

/// A phone and a desk.
const WIDTHS: [u32; 2] = [360, 1440];

/// Looks at the page that is open in every way.
pub async fn look(browser: &Browser, name: &str) {
    for width in WIDTHS {
        for scheme in ["light", "dark"] {
            browser.look(width, scheme).await;
            let shown = format!("{name}-{width}-{scheme}");
            if let Some(folder) = std::env::var_os("SCREENSHOTS") {
                let picture = STANDARD.decode(browser.picture().await).unwrap();
                std::fs::write(std::path::Path::new(&folder).join(format!("{shown}.png")), picture).unwrap();
            }
            assert_nothing_sticks_out(browser, &shown).await;
            assert_accessible(browser, &shown).await;
        }
    }
}

async fn assert_nothing_sticks_out(browser: &Browser, shown: &str) {
    let wide = browser
        .run(
            "const most = document.documentElement.clientWidth; \
             if (document.documentElement.scrollWidth <= most) return []; \
             return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > most + 1) \
               .map(e => e.outerHTML.slice(0, 200))",
        )
        .await;
    assert_eq!(wide, Value::Array(Vec::new()), "{shown}: wider than the window");
}

async fn assert_accessible(browser: &Browser, shown: &str) {
    if browser.run("return typeof axe").await != "object" {
        browser.run(&axe()).await;
    }
    let found = browser
        .run_later(
            "const done = arguments[arguments.length - 1]; \
             axe.run(document, {resultTypes: ['violations']}).then( \
               result => done(result.violations.map(v => v.id + ': ' + v.help + ' ' + \
                 v.nodes.map(n => n.html + ' ' + n.failureSummary).join(' | '))), \
               error => done(['axe failed: ' + error]))",
        )
        .await;
    assert_eq!(found, Value::Array(Vec::new()), "{shown}");
}

/// axe-core, as the tests' tools have it.
fn axe() -> String {
    let libraries = std::fs::read_dir("/opt/tools/lib").expect("the tests' tools (.ci/tools)");
    let folders = libraries.map(|entry| entry.unwrap().path());
    let file = folders
        .map(|folder| folder.join("site-packages/axe_playwright_python/axe.min.js"))
        .find(|file| file.exists())
        .expect("axe-core among the tests' tools");
    std::fs::read_to_string(file).unwrap()
}
