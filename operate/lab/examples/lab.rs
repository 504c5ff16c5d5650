//! Brings a lab up, looks at it and takes it down, without the rest of Bastide.
//!
//! `cargo run -p bastide-lab --example lab -- up FILE | down NAME | status NAME | exec NAME HOST CMD… | world NAME PLACE
//! CMD… | partition NAME A B | heal NAME | kill NAME HOST | start NAME HOST`

use std::error::Error;
use std::process::{ExitCode, Output};
use std::time::Instant;

use bastide_lab::{Lab, LabSpec};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<ExitCode, Box<dyn Error>> {
    let started = Instant::now();
    let progress = |line: &str| eprintln!("{:7.3} {line}", started.elapsed().as_secs_f64());
    match arguments {
        ["up", file] => {
            let spec: LabSpec = serde_json::from_str(&std::fs::read_to_string(file)?)?;
            Lab::up(&spec, &progress)?;
            progress("done");
        }
        ["down", name] => {
            Lab::open(name)?.down(&progress)?;
            progress("done");
        }
        ["list"] => println!("{}", Lab::list()?.join("\n")),
        ["status", name] => println!("{}", serde_json::to_string_pretty(&Lab::open(name)?.status())?),
        ["exec", name, host, argv @ ..] => return Ok(show(&Lab::open(name)?.exec(host, argv)?)),
        ["world", name, place, argv @ ..] => return Ok(show(&Lab::open(name)?.world_exec(place, argv)?)),
        ["shell", name, host] => drop(Lab::open(name)?.shell(host)?),
        ["partition", name, one, other] => Lab::open(name)?.partition(one, other)?,
        ["heal", name] => Lab::open(name)?.heal()?,
        ["kill", name, host] => Lab::open(name)?.kill(host)?,
        ["start", name, host] => Lab::open(name)?.start(host)?,
        _ => return Err("usage: see the head of this example".into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn show(output: &Output) -> ExitCode {
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
