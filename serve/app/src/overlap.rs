//! How long an old secret stays good beside the one that takes its place.

use std::time::Duration;

use serde::Deserialize;
use utoipa::ToSchema;

const LONGEST: u32 = 7 * 86_400;

/// What may be said about a change of secrets.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct Overlap {
    /// For how many seconds the old secret stays good as well, so that its users can change over.
    #[serde(default)]
    #[schema(value_type = u32, minimum = 0, maximum = 604800, default = 3600, example = 3600, required = false)]
    overlap_seconds: Seconds,
}

impl Overlap {
    /// The time.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.overlap_seconds.0.into())
    }
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "u32")]
struct Seconds(u32);

impl Default for Seconds {
    fn default() -> Self {
        Self(3600)
    }
}

impl TryFrom<u32> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: u32) -> Result<Self, &'static str> {
        if seconds <= LONGEST { Ok(Self(seconds)) } else { Err("at most 604800 seconds, which is a week") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_a_week_at_most_and_an_hour_where_nothing_is_said() {
        let of =
            |json: &str| serde_json::from_str::<Overlap>(json).map(|overlap| overlap.duration().as_secs());
        assert_eq!(of("{}").unwrap(), 3600);
        assert_eq!(of(r#"{"overlap_seconds":0}"#).unwrap(), 0);
        assert_eq!(of(r#"{"overlap_seconds":604800}"#).unwrap(), 604_800);
        for bad in ["604801", "-1", "1.5", "\"60\"", "null"] {
            assert!(of(&format!(r#"{{"overlap_seconds":{bad}}}"#)).is_err(), "{bad}");
        }
    }
}
