//! How many of a kind an organization may have: what one of them makes must not grow without end.

use foundation::problem::Problem;
use foundation::write::Unit;
use uuid::Uuid;

use crate::codes;

/// A quota.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// What it is of, in the plural.
    pub what: &'static str,
    /// How many there may be.
    pub most: i64,
    /// Counts those of the organization `$1`.
    pub count: &'static str,
}

impl Quota {
    /// Refuses one more where there are as many as there may be.
    ///
    /// # Errors
    /// A problem `quota-reached`, or one of the database.
    pub async fn require_room(&self, unit: &Unit, organization: Uuid) -> Result<(), Problem> {
        // Two at once cannot both make the last one.
        unit.transaction.alone(&format!("quota {}", self.what), organization).await?;
        let rows = unit.transaction.query(self.count, &[&organization]).await?;
        if rows.first().is_some_and(|row| row.get::<_, i64>(0) < self.most) {
            return Ok(());
        }
        Err(Problem::new(&codes::QUOTA_REACHED)
            .detail(format!("An organization has {} {} at most.", self.most, self.what))
            .with("limit", self.most))
    }
}
