//! What can be done with the lab.

use clap::{Args, Subcommand, ValueEnum};

/// Arguments of `lab`.
#[derive(Debug, Args)]
pub struct Lab {
    /// What to do.
    #[command(subcommand)]
    pub command: LabCommand,
}

/// What to do with the lab.
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Boot the hosts and the world, without building anything on them.
    Up,
    /// Say what runs, in every lab of this machine.
    Status,
    /// Open a root shell on a host, past SSH.
    Shell {
        /// The host.
        host: String,
    },
    /// Run a command on a host, past SSH.
    Exec {
        /// The host.
        host: String,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Drop all packets between two hosts.
    Partition {
        /// One host.
        a: String,
        /// The other host.
        b: String,
    },
    /// Undo every partition.
    Heal,
    /// Take a host's power.
    Kill {
        /// The host.
        host: String,
    },
    /// Boot a host that was killed.
    Start {
        /// The host.
        host: String,
    },
    /// Say what a login provider of this world knows of a person, or change it.
    #[command(
        after_help = "Whoever is named has an account with each of them. What can be changed: email, verified, hidden (the \
        address), public_email, refuses (to let anybody know), tenant, given_name, family_name, picture.\n\nExamples:\n  \
        bastide lab person google ada\n  bastide lab person google ada email=ada@elsewhere.test\n  bastide lab person \
        apple ada hidden=true\n  bastide lab person github ada refuses=true"
    )]
    Person {
        /// google, github, microsoft or apple.
        provider: LoginProvider,
        /// The person's name.
        person: String,
        /// What is to be otherwise, as NAME=VALUE.
        #[arg(value_name = "NAME=VALUE")]
        changes: Vec<String>,
    },
    /// Let a login provider of this world be down, slow, or as it should be.
    #[command(
        after_help = "Examples:\n  bastide lab provider github down\n  bastide lab provider google slow --milliseconds \
        3000\n  bastide lab provider github up"
    )]
    Provider {
        /// google, github, microsoft or apple.
        provider: LoginProvider,
        /// How it is to be.
        state: ProviderState,
        /// How long each answer of a slow one takes.
        #[arg(long, default_value_t = 5000)]
        milliseconds: u64,
    },
    /// Print where a root directory with the platform's servers is, built if need be; tests run in it.
    #[command(hide = true)]
    ServersRoot,
}

/// A login provider of a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoginProvider {
    /// Google
    Google,
    /// GitHub
    Github,
    /// Microsoft
    Microsoft,
    /// Apple
    Apple,
}

impl LoginProvider {
    /// Its name in paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Github => "github",
            Self::Microsoft => "microsoft",
            Self::Apple => "apple",
        }
    }
}

/// How a login provider of a lab is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProviderState {
    /// As it should be
    Up,
    /// Every answer is an error
    Down,
    /// Every answer takes long
    Slow,
}
