//! Jobs from the command line: what waits, and what was given up and may run again or be removed.

use std::io::{self, Write};

use clap::Subcommand;
use foundation::database::{Database, DatabaseError};
use foundation::environment::ConfigErrors;
use foundation::jobs::{self, DeadJob, Depth, Discarded};
use foundation::tls::TlsError;
use serde_json::json;
use uuid::Uuid;

use crate::config::JobsConfig;

/// Characters of an error in a line.
const REASON: usize = 80;

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// List the jobs that were given up, the latest first
    Dead {
        /// Only those of this kind
        #[arg(long)]
        kind: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// As one JSON document, with what each carries
        #[arg(long)]
        json: bool,
    },
    /// Let a job that was given up run again, with all its attempts
    Replay {
        /// Its identifier
        id: Uuid,
    },
    /// Remove a job that was given up: what it was to do is not done
    #[command(after_help = "Example:\n  app jobs dead --kind invitation.mail\n  \
                            app jobs discard 0199d6a2-7f6e-7c1b-9a53-2f0e8d4c6b17")]
    Discard {
        /// Its identifier
        id: Uuid,
    },
    /// Say how much waits, by kind
    Depths {
        /// As one JSON document
        #[arg(long)]
        json: bool,
    },
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// The environment is not usable.
    #[error(transparent)]
    Environment(#[from] ConfigErrors),
    /// The authority's certificate is unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// PostgreSQL did not do it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// There is nothing to replay.
    #[error(
        "replaying job {0}: it is none that was given up, or another one does the same work; `app jobs dead` lists them"
    )]
    NotDead(Uuid),
    /// There is nothing to discard.
    #[error("discarding job {0}: it is none that was given up; `app jobs dead` lists them")]
    NotThere(Uuid),
    /// Nobody reads what is written.
    #[error("writing the answer: {0}")]
    Output(#[from] io::Error),
}

/// Does it.
pub async fn run(command: JobsCommand, variable: impl Fn(&str) -> Option<String>) -> Result<(), JobsError> {
    let config = JobsConfig::read(variable)?;
    let database = Database::new(&config.database, &config.ca)?;
    let mut output = io::stdout().lock();
    match command {
        JobsCommand::Dead { kind, limit, json } => {
            let kind = kind.as_deref();
            let dead = database.ask(async |client| jobs::list_dead(client, kind, None, limit).await).await?;
            if json { document(&mut output, &json!({"jobs": dead}))? } else { list(&mut output, &dead)? }
        }
        JobsCommand::Replay { id } => {
            if !database.ask(async |client| jobs::replay(client, id).await).await? {
                return Err(JobsError::NotDead(id));
            }
            writeln!(output, "job {id} runs again")?;
        }
        JobsCommand::Discard { id } => {
            let discarded = database.ask(async |client| jobs::discard(client, id).await).await?;
            let Discarded { kind, last_error } = discarded.ok_or(JobsError::NotThere(id))?;
            let reason = short(last_error.as_deref().unwrap_or_default());
            writeln!(output, "job {id} of the kind {kind} is removed; it had failed: {reason}")?;
        }
        JobsCommand::Depths { json } => {
            let depths = jobs::depths(&database).await?;
            if json {
                document(&mut output, &json!({"queues": depths}))?
            } else {
                table(&mut output, &depths)?
            }
        }
    }
    Ok(())
}

fn document(output: &mut impl Write, document: &serde_json::Value) -> io::Result<()> {
    writeln!(output, "{document:#}")
}

fn list(output: &mut impl Write, dead: &[DeadJob]) -> io::Result<()> {
    if dead.is_empty() {
        return writeln!(output, "no job was given up");
    }
    writeln!(output, "{:<36}  {:<20}  {:<20}  {:>8}  why", "id", "kind", "given up", "attempts")?;
    for job in dead {
        let at = job.dead_at.replace_nanosecond(0).unwrap_or(job.dead_at);
        let at = at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
        let reason = short(job.last_error.as_deref().unwrap_or_default());
        writeln!(output, "{:<36}  {:<20}  {at:<20}  {:>8}  {reason}", job.id, job.kind, job.attempts)?;
    }
    Ok(())
}

/// In one line: what an error says may come from outside.
fn short(reason: &str) -> String {
    reason.chars().filter(|each| !each.is_control()).take(REASON).collect()
}

fn table(output: &mut impl Write, depths: &[Depth]) -> io::Result<()> {
    if depths.is_empty() {
        return writeln!(output, "nothing waits");
    }
    writeln!(
        output,
        "{:<12}  {:<20}  {:>10}  {:>10}  {:>8}",
        "queue", "kind", "unfinished", "oldest", "dead"
    )?;
    for depth in depths {
        let oldest = format!("{:.1} s", depth.oldest_seconds);
        let Depth { queue, kind, unfinished, dead, .. } = depth;
        writeln!(output, "{queue:<12}  {kind:<20}  {unfinished:>10}  {oldest:>10}  {dead:>8}")?;
    }
    Ok(())
}
