//! Somebody has come back from a login provider, and is let in: as an account that there is, as a new one, or with a
//! question first.

use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use foundation::audit::Origin;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use foundation::write::Unit;
use foundation::write::idempotency::Answer;
use uuid::Uuid;

use super::join::{self, Because};
use super::linking::{Decision, decide};
use super::pending::Pending;
use super::store::{self, Account, Identity};
use super::told;
use crate::attempt::{Attempt, Purpose};
use crate::pages::{self, Failure};
use crate::session::{BrowserSession, Proven};
use crate::state::Broker;
use crate::upstream::Verified;
use crate::{provider, session};

/// Longer subjects than are kept belong to nobody.
const LONGEST_SUBJECT: usize = 255;

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    /// The person is an account's, and signed in.
    In(Box<Entered>),
    /// The identity was linked to the session's account.
    Linked,
    /// The identity is another account's already.
    Taken,
    /// The person is asked first: who it is.
    Ask(Box<Verified>),
    /// The person came with an identity that has no account, to answer the question about another.
    Unknown(Box<Pending>),
    /// The session that wanted to link has ended, or the identity was removed at this moment.
    Gone,
}

/// Somebody who is signed in, with the header `Set-Cookie` of the session.
#[derive(Debug, PartialEq, Eq)]
struct Entered {
    session: BrowserSession,
    cookie: HeaderValue,
}

/// With what somebody comes in, and who was signed in in the browser before.
#[derive(Clone, Copy)]
struct Entry<'a> {
    context: &'a RequestContext,
    previous: Option<&'a BrowserSession>,
    verified: &'a Verified,
}

/// Lets in whoever has come back from a login provider, by the rules of linking: as an account that there is, as a new one,
/// or with a question first.
///
/// # Errors
/// The problem of the database.
pub async fn arrive(
    broker: &Broker,
    context: &RequestContext,
    headers: &HeaderMap,
    attempt: Attempt,
    verified: Verified,
) -> Result<Response, Problem> {
    let Some(verified) = within_bounds(verified) else {
        return pages::failed(broker, Some((&attempt, headers)), Failure::NotBelieved);
    };
    let verified = told::carried(broker, headers, verified);
    let outcome = answer(broker, context, headers, &attempt, &verified).await;
    told::carry(broker, headers, &verified, outcome)
}

async fn answer(
    broker: &Broker,
    context: &RequestContext,
    headers: &HeaderMap,
    attempt: &Attempt,
    verified: &Verified,
) -> Result<Response, Problem> {
    let previous = session::current(broker, headers).await?;
    let pending = Pending::of(headers, attempt, &broker.sealing);
    let entry = Entry { context, previous: previous.as_ref(), verified };
    match settle(broker, attempt, entry, pending).await? {
        Arrival::In(entered) => let_in(broker, context, attempt, *entered).await,
        Arrival::Linked => Ok(over(attempt, &pages::Notice::Linked.at("/account"))),
        Arrival::Taken => Ok(over(attempt, &pages::Notice::Taken.at("/account"))),
        Arrival::Ask(verified) => ask(broker, attempt, Pending { verified: *verified, tried_another: false }),
        Arrival::Unknown(first) => ask(broker, attempt, Pending { tried_another: true, ..*first }),
        Arrival::Gone => pages::failed(broker, None, Failure::Expired),
    }
}

/// Makes an account of the identity that waits beside the attempt: its person has said that there is none yet.
///
/// # Errors
/// The problem of the database.
pub async fn arrive_as_new(
    broker: &Broker,
    context: &RequestContext,
    headers: &HeaderMap,
    attempt: &Attempt,
    pending: &Pending,
) -> Result<Response, Problem> {
    let verified = &pending.verified;
    let previous = session::current(broker, headers).await?;
    let mut unit = begin_write(broker, context).await?;
    // It has come in meanwhile, in another window or by going back: it is known, and comes by its login provider.
    let known = Identity::alone(&unit.transaction, &verified.provider, &verified.subject).await?;
    if known.is_some() {
        return pages::failed(broker, None, Failure::Expired);
    }
    let account = join::begin(broker, &mut unit, verified).await?;
    let entry = Entry { context, previous: previous.as_ref(), verified };
    let entered = sign_in(broker, &mut unit, account, entry).await?;
    end_write(*unit).await?;
    let_in(broker, context, attempt, entered).await
}

/// In one transaction: who it is, and what is written of it.
async fn settle(
    broker: &Broker,
    attempt: &Attempt,
    entry: Entry<'_>,
    pending: Option<Pending>,
) -> Result<Arrival, Problem> {
    let mut unit = begin_write(broker, entry.context).await?;
    let waiting = pending.as_ref().map(|pending| &pending.verified);
    let (known, waits) = both_alone(&unit, entry.verified, waiting).await?;
    let recalled = if known.is_some() { None } else { Some(told::recall(&unit, entry.verified).await?) };
    let verified = recalled.as_ref().unwrap_or(entry.verified);
    let entry = Entry { verified, ..entry };
    let is_new = known.is_none();
    let arrival = match (&attempt.purpose, known) {
        (Purpose::Link { account, session: asked }, known) => {
            let still =
                entry.previous.is_some_and(|session| session.id == *asked && session.account == *account);
            if still {
                link(broker, &mut unit, (*account, *asked), known, verified).await?
            } else {
                Arrival::Gone
            }
        }
        (_, Some(identity)) => {
            let joins = waiting.filter(|_| waits.is_none());
            enter(broker, &mut unit, &identity, entry, joins).await?
        }
        (_, None) => match pending {
            Some(first) => Arrival::Unknown(Box::new(first)),
            None => by_the_rules(broker, &mut unit, entry).await?,
        },
    };
    let is_settled = matches!(arrival, Arrival::In(_) | Arrival::Linked);
    // What follows for somebody who has no account yet is only what would be lost.
    if is_settled || (is_new && told::keep_later(broker, &mut unit, verified)) {
        end_write(*unit).await?;
    }
    Ok(arrival)
}

/// Both identities, which nobody else makes or changes until the transaction ends; always in the same order, so that no
/// two wait for each other.
async fn both_alone(
    unit: &Unit,
    verified: &Verified,
    waiting: Option<&Verified>,
) -> Result<(Option<Identity>, Option<Identity>), Problem> {
    let key = |verified: &Verified| (verified.provider.clone(), verified.subject.clone());
    let find = async |verified: &Verified| {
        Identity::alone(&unit.transaction, &verified.provider, &verified.subject).await
    };
    Ok(match waiting {
        None => (find(verified).await?, None),
        Some(waiting) if key(waiting) < key(verified) => {
            let waits = find(waiting).await?;
            (find(verified).await?, waits)
        }
        Some(waiting) => (find(verified).await?, find(waiting).await?),
    })
}

/// The identity is known: its account is entered, and what waited for that joins it.
async fn enter(
    broker: &Broker,
    unit: &mut Unit,
    identity: &Identity,
    entry: Entry<'_>,
    joins: Option<&Verified>,
) -> Result<Arrival, Problem> {
    let account = alone(unit, identity.account).await?;
    let Some(identity) = still(unit, entry.verified, account.id).await? else { return Ok(Arrival::Gone) };
    let account = join::come_again(broker, unit, &account, &identity, entry.verified).await?;
    if let Some(first) = joins {
        join::join(broker, unit, &account, first, Because::Asked).await?;
    }
    Ok(Arrival::In(Box::new(sign_in(broker, unit, account.id, entry).await?)))
}

/// The identity as it is, now that nobody else changes its account: it may have been removed before.
async fn still(unit: &Unit, verified: &Verified, account: Uuid) -> Result<Option<Identity>, Problem> {
    let found = Identity::alone(&unit.transaction, &verified.provider, &verified.subject).await?;
    Ok(found.filter(|found| found.account == account))
}

async fn by_the_rules(broker: &Broker, unit: &mut Unit, entry: Entry<'_>) -> Result<Arrival, Problem> {
    let verified = entry.verified;
    let account = match decision(broker, unit, verified).await? {
        Decision::Ask => return Ok(Arrival::Ask(Box::new(verified.clone()))),
        Decision::Begin => join::begin(broker, unit, verified).await?,
        Decision::Join(account) => {
            let account = alone(unit, account).await?;
            // What was true before nobody else could change the account may not be any more.
            if decision(broker, unit, verified).await? != Decision::Join(account.id) {
                return Ok(Arrival::Ask(Box::new(verified.clone())));
            }
            join::join(broker, unit, &account, verified, Because::Vouched).await?;
            account.id
        }
    };
    Ok(Arrival::In(Box::new(sign_in(broker, unit, account, entry).await?)))
}

/// What the rules say by what there is at this moment.
async fn decision(broker: &Broker, unit: &Unit, verified: &Verified) -> Result<Decision, Problem> {
    let holders = match &verified.email {
        Some(email) => store::holders(&unit.transaction, &email.text, &verified.provider).await?,
        None => Vec::new(),
    };
    Ok(decide(broker.settings.linking, verified.email.as_ref(), &holders))
}

/// Begins the session with the write.
async fn sign_in(
    broker: &Broker,
    unit: &mut Unit,
    account: Uuid,
    entry: Entry<'_>,
) -> Result<Entered, Problem> {
    let proven = Proven { account, provider: &entry.verified.provider, at: entry.verified.authenticated_at };
    let begun = session::begin(broker, entry.context, unit, proven, entry.previous).await?;
    Ok(Entered { session: begun.0, cookie: begun.1 })
}

/// Adds the identity to the account whose session asked for it, and lasts still.
async fn link(
    broker: &Broker,
    unit: &mut Unit,
    (account, session): (Uuid, Uuid),
    known: Option<Identity>,
    verified: &Verified,
) -> Result<Arrival, Problem> {
    if known.as_ref().is_some_and(|identity| identity.account != account) {
        return Ok(Arrival::Taken);
    }
    let account = alone(unit, account).await?;
    if !session::lasts(unit, session, account.id).await? {
        return Ok(Arrival::Gone);
    }
    match (known, still(unit, verified, account.id).await?) {
        (None, _) => join::join(broker, unit, &account, verified, Because::Linked(session)).await?,
        (Some(_), Some(identity)) => {
            join::come_again(broker, unit, &account, &identity, verified).await?;
        }
        (Some(_), None) => return Ok(Arrival::Gone),
    }
    Ok(Arrival::Linked)
}

/// Answers what the person signed in for.
async fn let_in(
    broker: &Broker,
    context: &RequestContext,
    attempt: &Attempt,
    Entered { session, cookie }: Entered,
) -> Result<Response, Problem> {
    let mut response = match &attempt.purpose {
        Purpose::Authorize(request) => provider::complete(broker, context, &session, request).await?,
        Purpose::Account | Purpose::Again | Purpose::Link { .. } => see_other("/account"),
    };
    response.headers_mut().append(SET_COOKIE, cookie);
    end_attempt(&mut response, attempt);
    Ok(response)
}

/// Goes on with the question, as an attempt with a state of its own: the one that was used is used.
fn ask(broker: &Broker, attempt: &Attempt, pending: Pending) -> Result<Response, Problem> {
    let next = Attempt::begin(attempt.purpose.clone(), &*broker.clock, &*broker.randomness);
    let (keys, randomness) = (&broker.sealing, &*broker.randomness);
    let cookies = next.set_cookie(keys, randomness).zip(pending.set_cookie(&next, keys, randomness));
    let Some((kept, waits)) = cookies else {
        tracing::warn!("what waits for an answer is too long for a cookie");
        return pages::failed(broker, None, Failure::Expired);
    };
    let mut response = over(attempt, &format!("/linking/{}", next.state));
    response.headers_mut().append(SET_COOKIE, kept);
    response.headers_mut().append(SET_COOKIE, waits);
    Ok(response)
}

/// Ends the attempt, and sends the browser on.
fn over(attempt: &Attempt, path: &str) -> Response {
    let mut response = see_other(path);
    end_attempt(&mut response, attempt);
    response
}

fn end_attempt(response: &mut Response, attempt: &Attempt) {
    response.headers_mut().append(SET_COOKIE, attempt.clear_cookie());
    response.headers_mut().append(SET_COOKIE, Pending::clear_cookie(attempt));
}

fn see_other(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(path) = HeaderValue::try_from(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

async fn begin_write(broker: &Broker, context: &RequestContext) -> Result<Box<Unit>, Problem> {
    broker.writes.begin_without_key(&Origin::of(None, context)).await
}

async fn end_write(unit: Unit) -> Result<(), Problem> {
    unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.map(drop)
}

/// The account, which was there a moment ago.
async fn alone(unit: &Unit, account: Uuid) -> Result<Account, Problem> {
    let found = Account::alone(&unit.transaction, account).await?;
    found.ok_or_else(|| Problem::new(&codes::NOT_FOUND).detail("The account was deleted at this moment."))
}

/// What can be kept of what a login provider says; nothing where its subject cannot.
fn within_bounds(mut verified: Verified) -> Option<Verified> {
    let fits = |most: usize| move |text: &String| text.chars().count() <= most && !text.contains('\0');
    let subject = &verified.subject;
    if subject.is_empty() || !fits(LONGEST_SUBJECT)(subject) {
        return None;
    }
    verified.email = verified.email.filter(|email| fits(254)(&email.text) && email.text.contains('@'));
    verified.given_name = verified.given_name.filter(fits(200));
    verified.family_name = verified.family_name.filter(fits(200));
    verified.picture = verified.picture.filter(fits(2_000)).filter(|picture| picture.starts_with("https://"));
    Some(verified)
}
