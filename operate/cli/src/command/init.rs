//! `bastide init`: a platform file to start from, by flags or by asking on a terminal.

use crate::arguments::{Arguments, Init};
use crate::exit::Exit;
use crate::operator;
use anyhow::{Context, Result, bail};
use bastide_lab::Lab;
use bastide_platform::CdnProvider;
use bastide_platform::init::{self, Answers, CdnAnswer, Privates, WrongAnswer, answer};
use ipnet::Ipv4Net;
use std::io::{self, BufRead, IsTerminal, Write};
use std::net::Ipv4Addr;
use std::path::Path;

/// Writes a platform file, or prints user-data.
pub fn run(arguments: &Arguments, options: &Init) -> Result<Exit> {
    if let Some(host) = &options.cloud_init {
        return cloud_init(arguments, host);
    }
    let text = match &options.lab {
        Some(name) => lab(name, options)?,
        None => init::render(&answers(options)?),
    };
    write_new(&options.output, &text)?;
    eprintln!("wrote {}; `bastide lint --platform {0}` looks it over", options.output.display());
    Ok(Exit::Done)
}

fn cloud_init(arguments: &Arguments, name: &str) -> Result<Exit> {
    let platform = operator::load(arguments)?;
    let host = platform.host(name).with_context(|| format!("there is no host `{name}` in this platform"))?;
    print!("{}", init::cloud_init(&platform, host));
    Ok(Exit::Done)
}

/// A lab's platform file, in the first quarter of the documentation network that no lab of this machine uses.
fn lab(name: &str, options: &Init) -> Result<String> {
    let name = answer::name(name)?;
    let default = format!("{name}.test");
    let domain = answer::domain(options.domain.as_deref().unwrap_or(&default))?;
    let mut taken = Vec::new();
    for other in Lab::list()? {
        taken.push(Lab::open(&other)?.spec().public_network);
    }
    let quarters = [0, 64, 128, 192].map(|last| Ipv4Net::new_assert(Ipv4Addr::new(198, 51, 100, last), 26));
    let free = quarters.into_iter().find(|quarter| taken.iter().all(|other| !overlap(quarter, other)));
    let Some(network) = free else {
        bail!(
            "four labs are up on this machine and there is no fifth network; take one down with `bastide down`"
        );
    };
    Ok(init::render_lab(&name, network, &domain))
}

fn overlap(one: &Ipv4Net, other: &Ipv4Net) -> bool {
    one.contains(other) || other.contains(one)
}

/// What the flags say, and what a person says where they say nothing.
fn answers(options: &Init) -> Result<Answers> {
    let name = field("name of the platform", "acme", options.name.as_deref(), answer::name)?;
    let domain = field("public domain", "acme.com", options.domain.as_deref(), answer::domain)?;
    let os = field("operating system", "ubuntu-24.04", options.os.as_deref(), answer::operating_system)?;
    let private_network = field("private network", "10.0.0.0/24", None, answer::private_network)?;
    let public_address =
        field("public address of the edge", "", options.public_address.as_deref(), answer::public_address)?;
    let private = privates(options, private_network)?;
    let login = field("user who logs in at first (root, or one with sudo)", "root", None, answer::login)?;
    let operator_addresses = match &options.operator_addresses {
        Some(texts) => texts.iter().map(|text| answer::operator_network(text)).collect::<Result<_, _>>()?,
        None => vec![field("network from which you log in", "", None, answer::operator_network)?],
    };
    let operator_keys = match &options.operator_keys {
        Some(path) => read_keys(path)?,
        None => vec![field("your public SSH key (one line)", "", None, answer::public_key)?],
    };
    let cdn =
        field("what stands in front (cloudflare, none)", "cloudflare", options.cdn.as_deref(), answer::cdn)?;
    let cdn = match cdn {
        CdnProvider::None => CdnAnswer::None,
        CdnProvider::Cloudflare => {
            CdnAnswer::Cloudflare { origin_pull_authority: "origin-pull-authority.pem".into() }
        }
    };
    Ok(Answers {
        name,
        domain,
        os,
        private_network,
        public_address,
        private,
        login,
        operator_addresses,
        operator_keys,
        cdn,
        email: None,
    })
}

fn privates(options: &Init, network: Ipv4Net) -> Result<Privates> {
    let Some(texts) = &options.addresses else {
        return Privates::of(network)
            .context("the private network is too small for five hosts; choose a /26 or larger");
    };
    let mut taken = Vec::new();
    for text in texts {
        taken.push(answer::host_address(text, network, &taken)?);
    }
    match taken[..] {
        [edge, app, db, cache, identity] => Ok(Privates { edge, app, db, cache, identity }),
        _ => bail!(
            "--addresses takes five addresses, for edge, app, db, cache and identity, and not {}",
            taken.len()
        ),
    }
}

/// A field's value: the flag's, or what a person answers. A wrong answer is asked again, a wrong flag is an error.
fn field<T>(
    question: &str,
    default: &str,
    flag: Option<&str>,
    parse: impl Fn(&str) -> Result<T, WrongAnswer>,
) -> Result<T> {
    if let Some(text) = flag {
        return Ok(parse(text)?);
    }
    if !io::stdin().is_terminal() {
        return parse(default)
            .with_context(|| format!("no flag gives the {question}, and nobody is there to ask"));
    }
    loop {
        let hint = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        eprint!("{question}{hint}: ");
        io::stderr().flush()?;
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            bail!("the input ended before the {question} was answered");
        }
        let text = if line.trim().is_empty() { default } else { line.trim() };
        match parse(text) {
            Ok(value) => return Ok(value),
            Err(error) => eprintln!("{error}"),
        }
    }
}

fn read_keys(path: &Path) -> Result<Vec<String>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("read the keys in {}", path.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(answer::public_key).collect::<Result<_, _>>()?)
}

fn write_new(path: &Path, text: &str) -> Result<()> {
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).open(path).with_context(|| {
            format!("write {}: nothing is ever overwritten, so choose another --output", path.display())
        })?;
    Ok(file.write_all(text.as_bytes())?)
}
