//! The issuer's site.

use super::tls;
use crate::identity::PORT;
use crate::paths::AUTHORITY;
use bastide_platform::{Broker, Platform};

/// The issuer at its own name, behind the same door as the application; nothing where the platform has none.
pub(super) fn site(platform: &Platform) -> Option<String> {
    let host = platform.issuer_host()?;
    Some(format!(
        "\
https://{name} {{
{tls}
	import access
	import promises
	import bans
	encode zstd gzip

	handle {{
		# Forms and tokens are all that anybody sends.
		request_body {{
			max_size 1MB
		}}
		reverse_proxy https://{address}:{PORT} {{
			# While it starts anew, requests wait here and none is refused.
			lb_try_duration 10s
			lb_try_interval 50ms
			header_up X-Forwarded-For {{client_ip}}
{hop}
		}}
	}}

	handle_errors {{
		import promises
		encode zstd gzip
		import problem
	}}
}}
",
        name = platform.issuer_domain(),
        tls = tls(platform),
        address = host.address,
        hop = hop(platform),
    ))
}

/// How the edge connects. Authentik shows its certificate to whoever asks for the issuer's name, and another one to others.
fn hop(platform: &Platform) -> String {
    match platform.settings.identity.broker {
        Broker::Bastide => "\t\t\timport hop".to_owned(),
        Broker::Authentik => [
            "\t\t\tflush_interval -1".to_owned(),
            "\t\t\ttransport http {".to_owned(),
            format!("\t\t\t\ttls_trust_pool file {AUTHORITY}"),
            format!("\t\t\t\ttls_server_name {}", platform.issuer_domain()),
            "\t\t\t\tdial_timeout 1s".to_owned(),
            "\t\t\t\tresponse_header_timeout 60s".to_owned(),
            "\t\t\t}".to_owned(),
        ]
        .join("\n"),
    }
}
