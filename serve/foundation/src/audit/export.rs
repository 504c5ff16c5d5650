//! The log as a file: CSV for spreadsheets, NDJSON for programs. It is read and sent a page at a time, so that its length
//! does not matter, and holds every event that was committed before the export began.

use std::fmt::Write as _;

use axum::body::Bytes;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::record::Record;
use super::search::{Filter, Order, View};
use crate::database::DatabaseError;
use crate::download;
use crate::page::cursor::Position;

/// The content type of a table whose first line has the names.
const CSV: &str = "text/csv; charset=utf-8; header=present";
/// Events that are in memory at once.
const PAGE: i64 = 200;
/// Pages that all exports of the process read at once: they leave the database's connections to other requests. One that
/// waits for a slow client holds none.
static READING: Semaphore = Semaphore::const_new(2);

const COLUMNS: &str = "id,occurred_at,actor_kind,actor_id,token_id,address,user_agent,request_id,action,resource_kind,\
                       resource_id,result,changes\r\n";

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// RFC 4180, with a line of names. A value that a spreadsheet would take for a formula begins with an apostrophe.
    Csv,
    /// A JSON object a line, as a search answers with it.
    Ndjson,
}

impl Format {
    /// The ending of the file's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        }
    }

    /// The content type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => CSV,
            Self::Ndjson => download::NDJSON,
        }
    }
}

/// Where an export stands.
struct Standing {
    view: View,
    filter: Filter,
    format: Format,
    after: Option<Position>,
    ended: bool,
}

/// The answer that is the file, called `name`, the oldest event first.
#[must_use]
pub fn export(view: View, filter: Filter, format: Format, name: &str) -> Response {
    let standing = Standing { view, filter, format, after: None, ended: false };
    download::response(format.content_type(), name, standing, async |mut standing| {
        if standing.ended {
            return Ok(None);
        }
        let page = standing.next().await?;
        Ok(Some((page, standing)))
    })
}

impl Standing {
    /// The next page of the file.
    async fn next(&mut self) -> Result<Bytes, DatabaseError> {
        let records = {
            // It is never closed.
            let _permit = READING.acquire().await.ok();
            self.view.events(&self.filter, Order::Oldest, self.after, PAGE).await?
        };
        let mut text = match (self.after, self.format) {
            (None, Format::Csv) => COLUMNS.to_owned(),
            _ => String::new(),
        };
        for record in &records {
            match self.format {
                Format::Csv => csv_line(record, &mut text),
                Format::Ndjson => json_line(record, &mut text),
            }
        }
        self.after = records.last().map(Record::place).or(self.after);
        self.ended = i64::try_from(records.len()) != Ok(PAGE);
        Ok(text.into())
    }
}

fn json_line(record: &Record, text: &mut String) {
    text.push_str(&serde_json::to_string(record).expect("texts, and what PostgreSQL writes as JSON"));
    text.push('\n');
}

fn csv_line(record: &Record, text: &mut String) {
    let id = |id: &Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let or_empty = |value: &Option<String>| value.clone().unwrap_or_default();
    let fields = [
        record.id.to_string(),
        record.occurred_at.format(&Rfc3339).unwrap_or_default(),
        record.actor_kind.clone(),
        id(&record.actor_id),
        id(&record.token_id),
        or_empty(&record.address),
        or_empty(&record.user_agent),
        record.request_id.clone(),
        record.action.clone(),
        record.resource_kind.clone(),
        or_empty(&record.resource_id),
        record.result.clone(),
        record.changes.clone(),
    ];
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        csv_field(field, text);
    }
    text.push_str("\r\n");
}

/// A field, in quotation marks where it needs them. Spreadsheets run what begins like a formula, in whatever width and
/// behind whatever space; an apostrophe before it makes it a text.
fn csv_field(field: &str, text: &mut String) {
    let formula = |first: char| matches!(first, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
    let unsafe_start = field.starts_with(['\t', '\r', '\n']) || field.trim_start().starts_with(formula);
    let guard = if unsafe_start { "'" } else { "" };
    if unsafe_start || field.contains(['"', ',', '\r', '\n']) {
        // A string takes everything.
        let _ = write!(text, "\"{guard}{}\"", field.replace('"', "\"\""));
    } else {
        text.push_str(field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::tests::record;

    fn field(value: &str) -> String {
        let mut text = String::new();
        csv_field(value, &mut text);
        text
    }

    #[test]
    fn a_field_is_quoted_where_it_must_be_and_is_no_formula() {
        for (value, written) in [
            ("", ""),
            ("task.create", "task.create"),
            ("ünï code", "ünï code"),
            ("a,b", "\"a,b\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("=1+1", "\"'=1+1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("-2", "\"'-2\""),
            ("+cmd|' /C calc'!A0", "\"'+cmd|' /C calc'!A0\""),
            ("\t=1", "\"'\t=1\""),
            (" =1", "\"' =1\""),
            ("\u{a0}＝1", "\"'\u{a0}＝1\""),
            ("a=1", "a=1"),
        ] {
            assert_eq!(field(value), written, "{value:?}");
        }
    }

    #[test]
    fn a_line_has_as_many_fields_as_there_are_names() {
        let mut line = String::new();
        csv_line(&record(), &mut line);
        assert_eq!(line.matches(',').count(), COLUMNS.matches(',').count());
        assert!(line.ends_with(",success,{}\r\n"), "{line}");
        assert!(
            line.starts_with("00000000-0000-0000-0000-000000000001,1970-01-01T00:00:00Z,agent,,"),
            "{line}"
        );
    }
}
