//! A transaction through PgBouncer: its context is set with its begin, and what waits for no answer goes with its end.

use deadpool_postgres::Object;
use futures_util::future::try_join_all;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::database::{Database, DatabaseError, in_time};

/// Both end with the transaction. What the server logs and shows of the transaction names the request.
pub(crate) const CONTEXT: &str =
    "SELECT set_config('app.organization', $1, true), set_config('application_name', $2, true)";

const ALONE: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1::text || ' ' || $2::uuid::text, 0))";
const ENTER: &str = "SELECT set_config('app.organization', $1, true)";

/// What a transaction is called in PostgreSQL's log and lists, which show its first 63 bytes.
pub(crate) fn name(request_id: &str) -> String {
    format!("app {request_id}")
}

/// A value for a statement that is sent later.
pub type Parameter = Box<dyn ToSql + Sync + Send>;

/// A statement that waits for the transaction's end.
struct Later {
    sql: &'static str,
    values: Vec<Parameter>,
}

/// An open transaction. One that is dropped before its end is rolled back.
pub struct Transaction {
    connection: Option<Object>,
    later: Vec<Later>,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("later", &self.later.len()).finish_non_exhaustive()
    }
}

impl Transaction {
    /// Begins for `organization` in the name of the request and asks `sql` in the same round trip.
    ///
    /// # Errors
    /// [`DatabaseError`], when no connection can be had or the statement is refused.
    pub async fn begin(
        database: &Database,
        organization: Option<Uuid>,
        request_id: &str,
        first: Option<(&'static str, &[&(dyn ToSql + Sync)])>,
    ) -> Result<(Self, Option<Row>), DatabaseError> {
        let organization = organization.map(|id| id.to_string()).unwrap_or_default();
        let name = name(request_id);
        let values: [&(dyn ToSql + Sync); 2] = [&organization, &name];
        let transaction = Self { connection: Some(database.connection().await?), later: Vec::new() };
        let client = transaction.client();
        let row = in_time(async {
            let context = client.prepare_cached(CONTEXT).await?;
            let asked = match first {
                Some((sql, values)) => Some((client.prepare_cached(sql).await?, values)),
                None => None,
            };
            let (_, _, row) =
                tokio::try_join!(client.batch_execute("BEGIN"), client.execute(&context, &values), async {
                    match &asked {
                        Some((statement, values)) => client.query_one(statement, values).await.map(Some),
                        None => Ok(None),
                    }
                })?;
            Ok(row)
        })
        .await?;
        Ok((transaction, row))
    }

    /// Rows that `sql` answers with for `organization`, in one round trip, by a transaction that can write nothing.
    ///
    /// # Errors
    /// [`DatabaseError`], when no connection can be had or the statement is refused.
    pub async fn read(
        database: &Database,
        organization: Option<Uuid>,
        request_id: &str,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        let organization = organization.map(|id| id.to_string()).unwrap_or_default();
        let name = name(request_id);
        let in_context: [&(dyn ToSql + Sync); 2] = [&organization, &name];
        // Rolled back where this is given up in the middle.
        let mut transaction = Self { connection: Some(database.connection().await?), later: Vec::new() };
        let client = transaction.client();
        let rows = in_time(async {
            let context = client.prepare_cached(CONTEXT).await?;
            let statement = client.prepare_cached(sql).await?;
            let (_, _, rows, _) = tokio::try_join!(
                client.batch_execute("BEGIN READ ONLY"),
                client.execute(&context, &in_context),
                client.query(&statement, values),
                client.batch_execute("COMMIT"),
            )?;
            Ok(rows)
        })
        .await?;
        drop(transaction.connection.take());
        Ok(rows)
    }

    /// Rows that `sql` answers with, now.
    ///
    /// # Errors
    /// [`DatabaseError`]; the transaction can then only be rolled back.
    pub async fn query(
        &self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        let client = self.client();
        in_time(async { client.query(&client.prepare_cached(sql).await?, values).await }).await
    }

    /// Waits for whoever has this of somebody's to themselves, and has it until the transaction ends. A statement after it
    /// sees what was committed meanwhile.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn alone(&self, with: &str, of: Uuid) -> Result<(), DatabaseError> {
        self.query(ALONE, &[&with, &of]).await.map(drop)
    }

    /// Lets the rest of the transaction see another organization.
    pub(crate) async fn enter(&self, organization: Option<Uuid>) -> Result<(), DatabaseError> {
        let organization = organization.map(|id| id.to_string()).unwrap_or_default();
        self.query(ENTER, &[&organization]).await.map(drop)
    }

    /// Sends `sql` with the end of the transaction: nobody waits for what it answers, and if it is refused, nothing of
    /// the transaction happened.
    pub fn later(&mut self, sql: &'static str, values: Vec<Parameter>) {
        self.later.push(Later { sql, values });
    }

    /// Undoes everything, forgets what was to be sent later, and begins anew, without an organization.
    pub(crate) async fn restart(&mut self) -> Result<(), DatabaseError> {
        self.later.clear();
        in_time(self.client().batch_execute("ROLLBACK; BEGIN")).await
    }

    /// Sends what waits and commits, in one round trip.
    ///
    /// # Errors
    /// [`DatabaseError`]. Where the connection broke or the answer was late, the transaction may have been committed or
    /// not.
    pub async fn commit(mut self) -> Result<(), DatabaseError> {
        let later = std::mem::take(&mut self.later);
        let client = self.client();
        in_time(async {
            let statements =
                try_join_all(later.iter().map(|statement| client.prepare_cached(statement.sql))).await?;
            let sent = later.iter().zip(&statements).map(|(later, statement)| async {
                let values: Vec<&(dyn ToSql + Sync)> =
                    later.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
                client.execute(statement, &values).await
            });
            // A statement that was refused has broken the transaction, and its commit is a rollback.
            tokio::try_join!(try_join_all(sent), client.batch_execute("COMMIT"))
        })
        .await?;
        drop(self.connection.take());
        Ok(())
    }

    fn client(&self) -> &Object {
        self.connection.as_ref().expect("a transaction has its connection until it ends")
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        tokio::spawn(async move {
            if in_time(connection.batch_execute("ROLLBACK")).await.is_err() {
                // Whatever state it is in, nobody else may get it.
                drop(Object::take(connection));
            }
        });
    }
}
