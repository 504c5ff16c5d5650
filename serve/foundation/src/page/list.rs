//! The statement of a list: the conditions that hold for this request, and no other.
//!
//! A condition that allows for its own absence (`$3 IS NULL OR state = $3`) would make one statement of all requests, and
//! PostgreSQL one plan, which reads and sorts the whole list for every page. So each combination that is asked for is a
//! statement of its own, with a plan that stops where the page is full.

use std::fmt;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::PageRequest;
use crate::database::{Database, DatabaseError};
use crate::write::transaction::{Parameter, Transaction};

/// A list that is being asked for. Conditions are constants; what a caller says is in their values.
pub struct List {
    organization: Uuid,
    sql: String,
    values: Vec<Parameter>,
}

impl fmt::Debug for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("List").field("sql", &self.sql).finish_non_exhaustive()
    }
}

impl List {
    /// `select` ends before the conditions: `SELECT … FROM …`. The first condition is that of the organization.
    #[must_use]
    pub fn of(select: &'static str, organization: Uuid) -> Self {
        let sql = format!("{select} WHERE organization_id = $1");
        Self { organization, sql, values: vec![Box::new(organization)] }
    }

    /// What holds without a value.
    #[must_use]
    pub fn only(mut self, condition: &'static str) -> Self {
        self.sql += " AND ";
        self.sql += condition;
        self
    }

    /// What holds of a value: each `$` in the condition stands for it.
    #[must_use]
    pub fn with(mut self, condition: &'static str, value: impl ToSql + Sync + Send + 'static) -> Self {
        let place = self.place(value);
        self.sql += " AND ";
        self.sql += &condition.replace('$', &place);
        self
    }

    /// The same, where there is a value.
    #[must_use]
    pub fn with_some(
        self,
        condition: &'static str,
        value: Option<impl ToSql + Sync + Send + 'static>,
    ) -> Self {
        match value {
            Some(value) => self.with(condition, value),
            None => self,
        }
    }

    /// The rows of the page and one more, in the order of `created_at` and `id`, the oldest first.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn read(
        mut self,
        database: &Database,
        request_id: &str,
        page: &PageRequest,
    ) -> Result<Vec<Row>, DatabaseError> {
        if let Some(after) = page.after() {
            let (at, id) = (self.place(after.at), self.place(after.id));
            self.sql += &format!(" AND (created_at, id) > ({at}, {id})");
        }
        let limit = self.place(page.rows_to_fetch());
        self.sql += &format!(" ORDER BY created_at, id LIMIT {limit}");
        let values: Vec<&(dyn ToSql + Sync)> =
            self.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        Transaction::read(database, Some(self.organization), request_id, &self.sql, &values).await
    }

    fn place(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.values.push(Box::new(value));
        format!("${}", self.values.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_is_in_the_statement() {
        let list = List::of("SELECT id FROM tasks", Uuid::nil())
            .only("deleted_at IS NULL")
            .with_some("state = $", None::<String>)
            .with_some("(id = ANY ($) OR project_id = ANY ($))", Some(vec![Uuid::nil()]));
        assert_eq!(
            list.sql,
            "SELECT id FROM tasks WHERE organization_id = $1 AND deleted_at IS NULL \
             AND (id = ANY ($2) OR project_id = ANY ($2))"
        );
        assert_eq!(list.values.len(), 2);
    }
}
