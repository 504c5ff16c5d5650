//! A client of PostgreSQL's protocol that says what the server asks for.

use super::{Answer, Authentication, Postgres, Query};
use crate::probe::refusal::{Ended, Refusal, Stage};
use crate::probe::wire::Duplex;
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use std::collections::BTreeMap;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A connection, logged in.
pub(super) struct Client {
    stream: Box<dyn Duplex>,
    received: BytesMut,
    /// What the server asked for.
    pub(super) authentication: Authentication,
    /// What it announced.
    pub(super) parameters: BTreeMap<String, String>,
}

impl Client {
    /// Logs in.
    pub(super) async fn log_in(stream: Box<dyn Duplex>, probe: &Postgres) -> Result<Self, Ended> {
        let mut client = Self {
            stream,
            received: BytesMut::new(),
            authentication: Authentication::Trust,
            parameters: BTreeMap::new(),
        };
        let greeting =
            [("user", probe.user.as_str()), ("database", &probe.database), ("application_name", "bastide")];
        client.send(|buffer| frontend::startup_message(greeting, buffer)).await?;
        client.authenticate(probe).await?;
        client.until_ready().await?;
        Ok(client)
    }

    async fn authenticate(&mut self, probe: &Postgres) -> Result<(), Ended> {
        let mut scram: Option<ScramSha256> = None;
        loop {
            match self.receive().await? {
                Message::AuthenticationOk => return Ok(()),
                Message::AuthenticationCleartextPassword => {
                    self.authentication = Authentication::Cleartext;
                    let password = self.password(probe)?;
                    self.send(|buffer| frontend::password_message(password.as_bytes(), buffer)).await?;
                }
                Message::AuthenticationMd5Password(body) => {
                    self.authentication = Authentication::Md5;
                    let password = self.password(probe)?;
                    let hash = md5_hash(probe.user.as_bytes(), password.as_bytes(), body.salt());
                    self.send(|buffer| frontend::password_message(hash.as_bytes(), buffer)).await?;
                }
                Message::AuthenticationSasl(body) => {
                    let offered: Vec<String> =
                        body.mechanisms().map(|m| Ok(m.to_owned())).collect().map_err(broke)?;
                    if !offered.iter().any(|mechanism| mechanism == SCRAM_SHA_256) {
                        self.authentication = Authentication::Other;
                        return Err(self.unauthenticated(format_args!("only {} offered", offered.join(", "))));
                    }
                    self.authentication = Authentication::Scram;
                    let password = self.password(probe)?;
                    let first = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                    self.send(|buffer| {
                        frontend::sasl_initial_response(SCRAM_SHA_256, first.message(), buffer)
                    })
                    .await?;
                    scram = Some(first);
                }
                Message::AuthenticationSaslContinue(body) => {
                    let scram = scram.as_mut().ok_or_else(|| broke(io::Error::other("SASL out of turn")))?;
                    scram.update(body.data()).map_err(broke)?;
                    let message = scram.message().to_vec();
                    self.send(|buffer| frontend::sasl_response(&message, buffer)).await?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let scram = scram.as_mut().ok_or_else(|| broke(io::Error::other("SASL out of turn")))?;
                    scram.finish(body.data()).map_err(broke)?;
                }
                Message::ErrorResponse(body) => {
                    let (code, message) = fields(&body)?;
                    let mut refusal = Refusal::new(Stage::Authentication, message);
                    refusal.code = Some(code);
                    refusal.asked = self.asked();
                    return Err(refusal.into());
                }
                Message::NoticeResponse(_) => {}
                _ => {
                    self.authentication = Authentication::Other;
                    return Err(self.unauthenticated(format_args!("the server asked for another method")));
                }
            }
        }
    }

    /// What the server asked for, unless it asked for nothing yet.
    fn asked(&self) -> Option<String> {
        (self.authentication != Authentication::Trust).then(|| self.authentication.to_string())
    }

    fn password<'a>(&self, probe: &'a Postgres) -> Result<&'a str, Ended> {
        let password = probe.password.as_ref().map(|password| password.reveal());
        password.ok_or_else(|| self.unauthenticated(format_args!("we have no password")))
    }

    fn unauthenticated(&self, reason: std::fmt::Arguments<'_>) -> Ended {
        let mut refusal = Refusal::new(Stage::Authentication, reason);
        refusal.asked = self.asked();
        refusal.into()
    }

    async fn until_ready(&mut self) -> Result<(), Ended> {
        loop {
            match self.receive().await? {
                Message::ReadyForQuery(_) => return Ok(()),
                Message::ParameterStatus(body) => {
                    let name = body.name().map_err(broke)?.to_owned();
                    self.parameters.insert(name, body.value().map_err(broke)?.to_owned());
                }
                Message::ErrorResponse(body) => {
                    let (code, message) = fields(&body)?;
                    let mut refusal = Refusal::new(Stage::Authentication, message);
                    refusal.code = Some(code);
                    refusal.asked = self.asked();
                    return Err(refusal.into());
                }
                _ => {}
            }
        }
    }

    /// Runs a query as often as it says; `connection` and `n` number the connection and the query.
    pub(super) async fn run(
        &mut self,
        query: &Query,
        connection: u32,
        n: usize,
    ) -> Result<Vec<Answer>, Ended> {
        let mut answers = Vec::new();
        let Some(parameters) = &query.parameters else {
            for _ in 0..query.repeat {
                self.send(|buffer| frontend::query(&query.sql, buffer)).await?;
                answers.push(self.answer().await?);
            }
            return Ok(answers);
        };
        let name = format!("bastide_{n}");
        let values: Vec<String> =
            parameters.iter().map(|text| text.replace("{connection}", &connection.to_string())).collect();
        for execution in 0..query.repeat {
            self.send(|buffer| {
                if execution == 0 {
                    frontend::parse(&name, &query.sql, [], buffer)?;
                }
                bind(&name, &values, buffer)?;
                frontend::execute("", 0, buffer)?;
                frontend::sync(buffer);
                Ok(())
            })
            .await?;
            answers.push(self.answer().await?);
        }
        Ok(answers)
    }

    /// Collects what comes until the server is ready for the next query.
    async fn answer(&mut self) -> Result<Answer, Ended> {
        let mut rows = Vec::new();
        let mut error = None;
        loop {
            match self.receive().await? {
                Message::DataRow(body) => rows.push(row(&body).map_err(broke)?),
                Message::ErrorResponse(body) => error = Some(fields(&body)?),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        Ok(match error {
            Some((code, message)) => Answer::Error { code, message },
            None => Answer::Rows(rows),
        })
    }

    async fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), Ended> {
        let mut buffer = BytesMut::new();
        write(&mut buffer).map_err(|error| Ended::broken("writing a message for PostgreSQL", error))?;
        self.stream.write_all(&buffer).await.map_err(broke)?;
        self.stream.flush().await.map_err(broke)
    }

    async fn receive(&mut self) -> Result<Message, Ended> {
        loop {
            if let Some(message) = Message::parse(&mut self.received).map_err(broke)? {
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.received).await.map_err(broke)? == 0 {
                return Err(broke(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up")));
            }
        }
    }
}

fn bind(statement: &str, values: &[String], buffer: &mut BytesMut) -> io::Result<()> {
    let write = |value: &String, buffer: &mut BytesMut| {
        buffer.extend_from_slice(value.as_bytes());
        Ok(IsNull::No)
    };
    frontend::bind("", statement, [], values, write, [], buffer).map_err(|error| match error {
        frontend::BindError::Serialization(error) => error,
        frontend::BindError::Conversion(error) => io::Error::other(error),
    })
}

fn row(body: &DataRowBody) -> io::Result<Vec<Option<String>>> {
    let text = |range: std::ops::Range<usize>| String::from_utf8_lossy(&body.buffer()[range]).into_owned();
    body.ranges().map(|range| Ok(range.map(text))).collect()
}

/// SQLSTATE and message of an error.
fn fields(body: &ErrorResponseBody) -> Result<(String, String), Ended> {
    let (mut code, mut message) = (String::new(), String::new());
    let mut fields = body.fields();
    while let Some(field) = fields.next().map_err(broke)? {
        let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => code = text,
            b'M' => message = text,
            _ => {}
        }
    }
    Ok((code, message))
}

fn broke(error: io::Error) -> Ended {
    Ended::refused(Stage::Protocol, error)
}
