//! The names of values that come out of a few.

use super::values::Choice;
use crate::app::ContainerNetwork;
use crate::host::{OperatingSystem, Role, Zone};
use crate::identity::{Algorithm, Broker, Linking, Pkce, TokenKeeper};
use crate::settings::{BanAction, CdnProvider, Challenge, Eviction, Persistence, PoolMode, SslMode};

macro_rules! choices {
    ($($type:ty { $($name:literal => $value:ident),+ $(,)? })+) => {
        $(impl Choice for $type {
            const NAMES: &'static [(&'static str, Self)] = &[$(($name, <$type>::$value)),+];
        })+
    };
}

choices! {
    OperatingSystem {
        "debian-14" => Debian14, "debian-13" => Debian13, "ubuntu-24.04" => Ubuntu2404, "ubuntu-26.04" => Ubuntu2604,
    }
    Role { "edge" => Edge, "app" => App, "db" => Db, "cache" => Cache, "identity" => Identity }
    Zone { "dmz" => Dmz, "private" => Private }
    CdnProvider { "none" => None, "cloudflare" => Cloudflare }
    SslMode { "flexible" => Flexible, "full" => Full, "full-strict" => FullStrict }
    Challenge { "http-01" => Http01, "dns-01" => Dns01 }
    BanAction { "proxy" => Proxy, "firewall" => Firewall }
    ContainerNetwork { "host" => Host, "bridge" => Bridge }
    PoolMode { "session" => Session, "transaction" => Transaction, "statement" => Statement }
    Eviction { "noeviction" => NoEviction, "allkeys-lru" => AllKeysLru, "allkeys-lfu" => AllKeysLfu }
    Persistence { "none" => None, "append-only" => AppendOnly }
    Broker { "bastide" => Bastide, "authentik" => Authentik }
    Linking { "vouched" => Vouched, "ask" => Ask, "address" => Address }
    Pkce { "required" => Required, "optional" => Optional }
    Algorithm { "ES256" => Es256, "RS256" => Rs256 }
    TokenKeeper { "issuer" => Issuer, "application" => Application }
}
