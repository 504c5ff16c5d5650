//! The load of `bench/api`: agents that ask over connections they keep, and what they wait for.
//!
//! Without `--rate` every connection asks again as soon as it has its answer. With it requests fall due at fixed
//! moments, whether or not the one before was answered: what waits behind a slow answer counts as slow as well.
//!
//! It says `begin` and `end` on standard output, each on a line of its own, when what is measured begins and ends, and
//! then one line of JSON.

mod connection;
mod request;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use tokio::task::LocalSet;
use tokio::time::Instant;

use bench_load::announce;
use bench_load::latencies::Latencies;
use bench_load::pace::Pace;
use connection::Connection;
use request::{Crew, Kind, Turns};

/// Asks one server for a while, and says how it answered.
#[derive(Parser)]
struct Arguments {
    /// What is asked
    kind: Kind,
    /// Where the server listens, plain HTTP
    #[arg(long)]
    address: SocketAddr,
    /// Who asks and for what, JSON
    #[arg(long)]
    crew: PathBuf,
    /// The first agent, so that runs do not begin with the same ones
    #[arg(long, default_value_t = 0)]
    first: usize,
    /// Requests of one agent before another takes its place
    #[arg(long, default_value_t = 400)]
    turn: u32,
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Requests a second; as many as possible without it
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds before it is measured
    #[arg(long, default_value_t = 1.0)]
    warm: f64,
    /// Seconds that are measured
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

/// Why there is nothing to say about the server.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("reading {path}: {source}")]
    Crew { path: String, source: Box<dyn std::error::Error> },
    #[error("starting: {0}")]
    Start(std::io::Error),
    #[error(transparent)]
    Asking(#[from] connection::AskError),
    #[error("a connection ended with a panic: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench-load: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let crew = Crew::read(&arguments.crew)
        .map_err(|source| Failure::Crew { path: arguments.crew.display().to_string(), source })?;
    // One thread: it takes as little as possible of what it measures.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Start)?;
    let latencies = LocalSet::new().block_on(&runtime, load(arguments, crew))?;
    println!("{}", latencies.summary(Duration::from_secs_f64(arguments.seconds)));
    Ok(())
}

async fn load(arguments: &Arguments, crew: Crew) -> Result<Latencies, Failure> {
    let turns = Rc::new(Turns::new(crew, arguments.kind, arguments.first, arguments.turn));
    let start = Instant::now();
    let begin = start + Duration::from_secs_f64(arguments.warm);
    let end = begin + Duration::from_secs_f64(arguments.seconds);
    let mut tasks = Vec::with_capacity(arguments.connections);
    for number in 0..arguments.connections {
        let connection = Connection::open(arguments.address, arguments.kind, Rc::clone(&turns)).await?;
        let pace = arguments.rate.map(|rate| Pace::new(start, rate, number, arguments.connections));
        tasks.push(tokio::task::spawn_local(connection.ask(pace, begin, end)));
    }
    tokio::time::sleep_until(begin).await;
    announce("begin");
    tokio::time::sleep_until(end).await;
    announce("end");
    let mut all = Latencies::default();
    for task in tasks {
        all.add(task.await??);
    }
    Ok(all)
}
