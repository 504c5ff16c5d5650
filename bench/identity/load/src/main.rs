//! The load of `bench/identity`: people who sign in at a client with a login provider, from the client's request to its
//! question who they are. The login provider is the world's simulator, in this process.
//!
//! It says the simulator's port, and then does what it is told on standard input, a line each:
//! `load RATE` runs flows for a while (as many as possible where the rate is 0), says `begin` and `end` when what is
//! measured begins and ends, and then one line of JSON; `signatures` says what those of a flow cost by themselves.

mod browser;
mod exchange;
mod flow;
mod signatures;
mod world;

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use bench_load::announce;
use bench_load::pace::Pace;
use clap::Parser;
use tokio::task::LocalSet;
use tokio::time::Instant;

use exchange::ExchangeError;
use flow::{Flows, Times};
use world::WorldError;

/// Signs people in for a while, and says how that went.
#[derive(Parser)]
struct Arguments {
    /// Where the issuer will listen, plain HTTP
    #[arg(long)]
    issuer: SocketAddr,
    /// Directory of the simulator's certificate and key and of the clients' secret
    #[arg(long)]
    files: PathBuf,
    /// Browsers that sign in at the same time
    #[arg(long, default_value_t = 32)]
    browsers: usize,
    /// Seconds before it is measured
    #[arg(long, default_value_t = 1.0)]
    warm: f64,
    /// Seconds that are measured
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

/// Why there is nothing to say about the issuer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("starting: {0}")]
    Start(#[from] std::io::Error),
    #[error(transparent)]
    World(#[from] WorldError),
    #[error(transparent)]
    Flow(#[from] ExchangeError),
    #[error("a browser ended with a panic: {0}")]
    Panicked(#[from] tokio::task::JoinError),
    #[error("what is asked for is not known: {0:?}")]
    Unknown(String),
    #[error("measuring signatures: {0}")]
    Signatures(#[from] signatures::SignatureError),
}

fn main() -> ExitCode {
    let _others_may_have_chosen = rustls::crypto::ring::default_provider().install_default();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench-flows: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    // One thread for the browsers and one for the simulator: they take as little as possible of what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let world = world::start(&arguments.files)?;
    announce(&format!("google {}", world.port));
    let flows = Rc::new(Flows::new(arguments.issuer, &world, &arguments.files)?);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("load", rate)) => {
                let rate = rate.parse().map_err(|_| Failure::Unknown(line.clone()))?;
                let times = LocalSet::new().block_on(&runtime, load(arguments, Rc::clone(&flows), rate))?;
                println!("{}", times.summary(Duration::from_secs_f64(arguments.seconds)));
            }
            None if line == "signatures" => println!("{}", signatures::measured()?),
            _ => return Err(Failure::Unknown(line)),
        }
    }
    Ok(())
}

/// Flows at this rate a second, or as many as possible.
async fn load(arguments: &Arguments, flows: Rc<Flows>, rate: f64) -> Result<Times, Failure> {
    let start = Instant::now();
    let begin = start + Duration::from_secs_f64(arguments.warm);
    let end = begin + Duration::from_secs_f64(arguments.seconds);
    let tasks: Vec<_> = (0..arguments.browsers)
        .map(|number| {
            let pace = (rate > 0.0).then(|| Pace::new(start, rate, number, arguments.browsers));
            tokio::task::spawn_local(Rc::clone(&flows).run(pace, begin, end))
        })
        .collect();
    tokio::time::sleep_until(begin).await;
    announce("begin");
    tokio::time::sleep_until(end).await;
    announce("end");
    let mut all = Times::default();
    for task in tasks {
        all.add(task.await??);
    }
    Ok(all)
}
