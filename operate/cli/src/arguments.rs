//! The command line.

mod lab;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

pub use lab::{Lab, LabCommand, LoginProvider, ProviderState};

/// Stands up, proves and runs a production web platform on five small servers.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "Examples:\n  bastide up               builds what platform.toml describes, verifies each step, \
    prints the URL\n  bastide COMMAND --help   says more and shows an example\n\nExit codes: 0 done, 1 failed, \
    2 wrong call or invalid platform file, 3 differences found (plan --exit-code), 4 a check failed"
)]
pub struct Arguments {
    /// The platform file.
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        default_value = "platform.toml",
        env = "BASTIDE_PLATFORM"
    )]
    pub platform: PathBuf,
    /// One JSON document on standard output; progress goes to standard error.
    #[arg(long, global = true)]
    pub json: bool,
    /// Pin the host keys of servers that were never met (a changed key is always refused).
    #[arg(long, global = true)]
    pub pin_new_hosts: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented platform file for real servers, or for a lab.
    #[command(
        after_help = "What no flag says is asked on the terminal; without a terminal its default is taken, where it \
        has one.\n\nExamples:\n  bastide init                     asks on the terminal\n  bastide init --lab two \
        --output two.toml\n  bastide init --cloud-init app    user-data that makes the host `app` reachable"
    )]
    Init(Box<Init>),
    /// Say what in the platform file does not go together.
    #[command(
        after_help = "Ends with 2 where it finds errors; `up`, `plan` and `apply` refuse such a file.\n\n\
    Example:\n  bastide lint --platform shop.toml"
    )]
    Lint,
    /// Show what differs between the hosts and the platform file; changes nothing.
    #[command(after_help = "Example:\n  bastide plan --exit-code   ends with 3 where something differs")]
    Plan(Plan),
    /// Show what every host gets, in order, with secrets left out; touches no host.
    #[command(after_help = "Example:\n  bastide resources --json | jq '.hosts[].resources | length'")]
    Resources,
    /// Build the whole platform in the reference's order, verifying each step before the next.
    #[command(
        after_help = "A platform file with [lab] is booted on this machine first, which needs root. A second \
    run changes nothing.\n\nExamples:\n  bastide up\n  bastide --pin-new-hosts up    the first time on real servers"
    )]
    Up,
    /// Make the hosts as the platform file says.
    #[command(after_help = "Example:\n  bastide apply --json | jq .changed")]
    Apply,
    /// Prove every claim with live traffic.
    #[command(
        after_help = "Examples:\n  bastide verify --html report.html\n  bastide verify --only valkey\n  \
    bastide verify --list    what is claimed, without checking it"
    )]
    Verify(Verify),
    /// Say where the platform answers and what runs where in which version.
    #[command(after_help = "Example:\n  bastide status --json")]
    Status,
    /// Open a shell on a host, or run a command there, through the bastion.
    #[command(after_help = "Examples:\n  bastide ssh db\n  bastide ssh app -- docker ps")]
    Ssh(Ssh),
    /// Show a unit's log on a host.
    #[command(
        after_help = "Examples:\n  bastide logs app app@blue --lines 50\n  bastide logs edge caddy --follow"
    )]
    Logs(Logs),
    /// Work with the issuer: let somebody in, list and end sessions, hand out a client's secret.
    #[command(
        after_help = "Examples:\n  bastide identity recover ada@shop.example\n  bastide identity sessions list \
        ada@shop.example\n  bastide identity secret wiki --output wiki.secret"
    )]
    Identity(Identity),
    /// Work with the passwords and keys that `bastide` makes; none is ever shown.
    #[command(
        after_help = "A secret that was rotated is put everywhere it is used by the next `bastide apply`.\n\n\
        Examples:\n  bastide secrets list\n  bastide secrets rotate identity/sealing-key && bastide apply"
    )]
    Secrets(SecretsArguments),
    /// Work with the five hosts on this machine.
    #[command(
        after_help = "Examples:\n  bastide lab status\n  bastide lab exec db -- ss -tln\n  bastide lab \
        partition app db\n  bastide lab heal\n  \
        bastide lab provider github down"
    )]
    Lab(Lab),
    /// Take the lab down; leaves the machine as it was.
    #[command(after_help = "Example:\n  bastide down")]
    Down,
    /// The agent's side, on a host.
    #[command(hide = true)]
    Agent(Agent),
    /// Makes one probe: JSON on standard input and output.
    #[command(hide = true)]
    Probe,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Write a lab's platform file, with this name and a network that no lab of this machine uses.
    #[arg(long, value_name = "NAME", conflicts_with = "cloud_init")]
    pub lab: Option<String>,
    /// Print user-data that makes this host of the platform file reachable.
    #[arg(long, value_name = "HOST")]
    pub cloud_init: Option<String>,
    /// Where to write; never over an existing file.
    #[arg(long, short, value_name = "FILE", default_value = "platform.toml")]
    pub output: PathBuf,
    /// Name of the platform.
    #[arg(long)]
    pub name: Option<String>,
    /// Public domain.
    #[arg(long)]
    pub domain: Option<String>,
    /// Operating system of the hosts: debian-14, debian-13, ubuntu-24.04 or ubuntu-26.04.
    #[arg(long)]
    pub os: Option<String>,
    /// The edge's public address.
    #[arg(long, value_name = "ADDRESS")]
    pub public_address: Option<String>,
    /// Private addresses of edge, app, db, cache and identity, in this order, with commas between them.
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',')]
    pub addresses: Option<Vec<String>>,
    /// Addresses or networks from which you log in, with commas between them.
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',')]
    pub operator_addresses: Option<Vec<String>>,
    /// File with your public SSH keys.
    #[arg(long, value_name = "FILE")]
    pub operator_keys: Option<PathBuf>,
    /// What stands in front of the edge: cloudflare or none.
    #[arg(long)]
    pub cdn: Option<String>,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// End with 3 where something differs.
    #[arg(long)]
    pub exit_code: bool,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Write one self-contained page: the topology, the measured traffic and each claim with its evidence.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Say what is claimed, without checking it.
    #[arg(long, conflicts_with = "html")]
    pub list: bool,
    /// Only checks whose id contains this text.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
}

/// Arguments of `ssh`.
#[derive(Debug, Args)]
pub struct Ssh {
    /// The host.
    pub host: String,
    /// A command instead of a shell.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// The host.
    pub host: String,
    /// The unit; all of them without it.
    pub unit: Option<String>,
    /// Last lines to show.
    #[arg(long, short = 'n', default_value_t = 100)]
    pub lines: u32,
    /// Go on as new lines come.
    #[arg(long, short)]
    pub follow: bool,
}

/// Arguments of `identity`.
#[derive(Debug, Args)]
pub struct Identity {
    /// What to do.
    #[command(subcommand)]
    pub command: IdentityCommand,
}

/// What to do with the issuer.
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// Print a link that lets somebody in once, for when no login provider can be reached.
    #[command(
        after_help = "The link is good for a quarter of an hour, its making is audited, and the person is told of its use.\n\n\
        Example:\n  bastide identity recover ada@shop.example"
    )]
    Recover {
        /// The account's identifier, or an address that exactly one account has.
        user: String,
    },
    /// List and end the sessions of people at the issuer.
    Sessions {
        /// What to do.
        #[command(subcommand)]
        command: SessionsCommand,
    },
    /// Replace the keys with which the issuer signs before their time.
    Keys {
        /// What to do.
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Read and verify the issuer's log of what was done.
    Audit {
        /// What to do.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Write a client's secret into a file that nobody else can read; it is never shown.
    #[command(after_help = "Example:\n  bastide identity secret wiki --output wiki.secret")]
    Secret {
        /// A client of [identity.clients].
        client: String,
        /// Where to write; never over an existing file.
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
}

/// What to do with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// List the sessions that have not ended.
    #[command(
        after_help = "Examples:\n  bastide identity sessions list\n  bastide identity sessions list ada@shop.example --json"
    )]
    List {
        /// Those of one account only: its identifier, or an address that exactly one account has.
        user: Option<String>,
    },
    /// End a session, everything that was handed out on it, and the sessions at clients that began with it.
    #[command(
        after_help = "Examples:\n  bastide identity sessions end 0198c2f4-7c1e-7d13-9a5f-2f1d6f2f6d10\n  bastide identity \
        sessions end --all-of ada@shop.example"
    )]
    End {
        /// The session, as `list` shows it.
        #[arg(required_unless_present = "all_of", conflicts_with = "all_of")]
        session: Option<String>,
        /// All sessions of this account.
        #[arg(long, value_name = "USER")]
        all_of: Option<String>,
    },
}

/// What to do with signing keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make the next keys; they sign once everybody had a day to learn of them.
    #[command(after_help = "Example:\n  bastide identity keys rotate")]
    Rotate {
        /// Let the new keys sign at once and forget all others: for keys that somebody else may have.
        #[arg(long)]
        now: bool,
    },
}

/// What to do with the issuer's audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List what was done, the newest first.
    #[command(after_help = "Example:\n  bastide identity audit list --action session.begin --most 20")]
    List {
        /// So many at most.
        #[arg(long)]
        most: Option<u32>,
        /// Only this action.
        #[arg(long)]
        action: Option<String>,
        /// Only what was done by this account.
        #[arg(long, value_name = "ACCOUNT")]
        by: Option<String>,
        /// Only what was done to this resource.
        #[arg(long, value_name = "ID")]
        to: Option<String>,
        /// Only what was done in this request.
        #[arg(long, value_name = "ID")]
        request: Option<String>,
    },
    /// Verify that the log is as it was sealed, and print its head; exit code 4 where it is not.
    #[command(
        after_help = "Keep the head elsewhere, and give it back: so it shows where somebody has written the end anew.\n\n\
        Example:\n  bastide identity audit verify --known 1207:5d0c1e6f…"
    )]
    Verify {
        /// A head that was kept elsewhere, which the log must have.
        #[arg(long, value_name = "NUMBER:HASH")]
        known: Option<String>,
    },
}

/// Arguments of `secrets`.
#[derive(Debug, Args)]
pub struct SecretsArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: SecretsCommand,
}

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Print the names of all secrets that this platform uses.
    List,
    /// Give a secret a new value.
    Rotate {
        /// The secret, as `list` names it.
        name: String,
    },
}

/// Arguments of the agent.
#[derive(Debug, Args)]
pub struct Agent {
    /// What to do.
    #[command(subcommand)]
    pub command: AgentCommand,
}

/// What the agent is to do.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Serve a connection on standard input and output.
    Serve,
    /// Confirm a guarded change.
    Confirm {
        /// Which.
        token: String,
    },
    /// Undo a guarded change that nobody confirmed.
    Revert,
}
