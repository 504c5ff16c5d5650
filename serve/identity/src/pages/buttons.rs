//! The login providers' buttons: by the rules that each has for its own name and sign.
//!
//! Google: <https://developers.google.com/identity/branding-guidelines>. Microsoft:
//! <https://learn.microsoft.com/entra/identity-platform/howto-add-branding-in-apps>. Apple:
//! <https://developer.apple.com/design/human-interface-guidelines/sign-in-with-apple>. GitHub:
//! <https://github.com/logos>.

use crate::settings::{Kind, Provider};
use crate::state::Broker;
use crate::upstream::{self, Standing};

use super::texts::Phrase;

/// A login provider's button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    /// By which paths name the provider, and the button's id.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// How it looks: the name of a style.
    pub look: &'static str,
    /// What stands on it.
    pub text: String,
    /// Whether the provider does not answer properly at the moment.
    pub is_down: bool,
}

/// The buttons of all login providers, in their order; `text` stands on each, with its label filled in.
#[must_use]
pub fn all(broker: &Broker, text: &Phrase) -> Vec<Button> {
    let status = upstream::status(broker);
    let is_down = |provider: &Provider| {
        status.iter().any(|(name, standing)| *name == provider.name && *standing == Standing::Unavailable)
    };
    let providers = broker.settings.providers.iter();
    providers.map(|provider| button(provider, text, is_down(provider))).collect()
}

fn button(provider: &Provider, text: &Phrase, is_down: bool) -> Button {
    Button {
        name: provider.name.clone(),
        label: provider.label.clone(),
        look: look(&provider.kind),
        text: text.with("provider", &provider.label).to_string(),
        is_down,
    }
}

/// The style and the sign of a kind of provider.
#[must_use]
pub fn look(kind: &Kind) -> &'static str {
    match kind {
        Kind::Google { .. } => "google",
        Kind::Github => "github",
        Kind::Microsoft { .. } => "microsoft",
        Kind::Apple => "apple",
        Kind::OpenIdConnect { .. } => "other",
    }
}
