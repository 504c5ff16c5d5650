//! The issuer's site.

use super::tls;
use crate::identity::PORT;
use bastide_platform::Platform;

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
			import hop
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
    ))
}
