//! `bastide secrets`: names of what `bastide` made, and new values for it.

use crate::arguments::{Arguments, SecretsArguments, SecretsCommand};
use crate::exit::Exit;
use crate::operator::{self, Operator};
use anyhow::{Result, bail};
use serde_json::json;

/// Lists the secrets' names, or gives one a new value.
pub fn run(arguments: &Arguments, options: &SecretsArguments) -> Result<Exit> {
    let mut operator = Operator::open(arguments, operator::load(arguments)?)?;
    let names = bastide_components::secret_names(&operator.platform);
    match &options.command {
        SecretsCommand::List if arguments.json => println!("{}", json!({ "secrets": names })),
        SecretsCommand::List => names.iter().for_each(|name| println!("{name}")),
        SecretsCommand::Rotate { name } => {
            if !names.contains(name) {
                bail!("there is no secret `{name}` in this platform; `bastide secrets list` names them all");
            }
            operator.secrets.rotate(name)?;
            eprintln!("{name} has a new value; `bastide apply` puts it everywhere it is used");
            if arguments.json {
                println!("{}", json!({ "rotated": name }));
            }
        }
    }
    Ok(Exit::Done)
}
