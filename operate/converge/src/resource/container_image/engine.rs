//! Docker's API on its Unix socket: a request takes a millisecond where the `docker` program takes thirty.

use crate::resource::ResourceError;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub(super) const SOCKET: &str = "/run/docker.sock";
/// Loading an image waits for the disk.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// The engine that listens on [`SOCKET`].
pub(super) struct Engine;

/// An image as the engine has it.
#[derive(Debug, Deserialize)]
pub(super) struct Image {
    #[serde(rename = "Id")]
    pub(super) id: String,
    #[serde(skip)]
    pub(super) tagged: String,
    #[serde(rename = "Metadata", default)]
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    #[serde(rename = "LastTagTime", default)]
    last_tag_time: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "RepoTags", default)]
    references: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(rename = "ImageID")]
    image: String,
}

#[derive(Deserialize)]
struct Complaint {
    message: String,
}

/// What the engine answered.
#[derive(Debug, PartialEq, Eq)]
struct Response {
    status: u16,
    body: Vec<u8>,
}

impl Engine {
    /// The image that goes by a reference or an id; none where there is none.
    pub(super) fn image(&self, name: &str) -> Result<Option<Image>, ResourceError> {
        let attempted = format!("look for the container image {name}");
        let response = send("GET", &format!("/images/{name}/json"), &[], &attempted)?;
        if response.status == 404 {
            return Ok(None);
        }
        let mut image: Image = parse(&response.expect_success(&attempted)?, &attempted)?;
        image.tagged = image.metadata.last_tag_time.take().unwrap_or_default();
        Ok(Some(image))
    }

    /// Loads an archive as `docker save` makes it.
    pub(super) fn load(&self, archive: &[u8]) -> Result<(), ResourceError> {
        let attempted = "load a container image";
        let response = send("POST", "/images/load?quiet=1", archive, attempted)?;
        let body = response.expect_success(attempted)?;
        // Success is promised before the archive is read: an error comes as the last message.
        let said = String::from_utf8_lossy(&body);
        if said.contains("\"errorDetail\"") {
            return Err(ResourceError::Other(format!("{attempted}: {}", said.trim())));
        }
        Ok(())
    }

    pub(super) fn tag(&self, image: &str, repository: &str, tag: &str) -> Result<(), ResourceError> {
        let attempted = format!("tag the container image {image} as {repository}:{tag}");
        let path = format!("/images/{image}/tag?repo={}&tag={}", encoded(repository), encoded(tag));
        send("POST", &path, &[], &attempted)?.expect_success(&attempted).map(drop)
    }

    /// References of the images of a repository.
    pub(super) fn references(&self, repository: &str) -> Result<Vec<String>, ResourceError> {
        let attempted = format!("list the container images of {repository}");
        let filters = serde_json::json!({ "reference": [repository] }).to_string();
        let response = send("GET", &format!("/images/json?filters={}", encoded(&filters)), &[], &attempted)?;
        let images: Vec<Listed> = parse(&response.expect_success(&attempted)?, &attempted)?;
        let of_repository =
            |reference: &String| reference.rsplit_once(':').is_some_and(|(name, _)| name == repository);
        Ok(images
            .into_iter()
            .flat_map(|image| image.references.unwrap_or_default())
            .filter(of_repository)
            .collect())
    }

    /// Ids of the images that some container, running or not, was made from.
    pub(super) fn images_in_use(&self) -> Result<BTreeSet<String>, ResourceError> {
        let attempted = "list the containers";
        let response = send("GET", "/containers/json?all=1", &[], attempted)?;
        let containers: Vec<Container> = parse(&response.expect_success(attempted)?, attempted)?;
        Ok(containers.into_iter().map(|container| container.image).collect())
    }

    /// Removes an image, unless something has come to use it meanwhile.
    pub(super) fn remove(&self, reference: &str) -> Result<(), ResourceError> {
        let attempted = format!("remove the container image {reference}");
        let response = send("DELETE", &format!("/images/{reference}"), &[], &attempted)?;
        if matches!(response.status, 404 | 409) {
            return Ok(());
        }
        response.expect_success(&attempted).map(drop)
    }
}

impl Response {
    fn expect_success(self, attempted: &str) -> Result<Vec<u8>, ResourceError> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let said = serde_json::from_slice::<Complaint>(&self.body)
            .map_or_else(|_| String::from_utf8_lossy(&self.body).into_owned(), |complaint| complaint.message);
        Err(ResourceError::Other(format!("{attempted}: Docker answered {}: {}", self.status, said.trim())))
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], attempted: &str) -> Result<T, ResourceError> {
    serde_json::from_slice(body).map_err(|error| {
        ResourceError::Other(format!("{attempted}: Docker's answer cannot be read: {error}"))
    })
}

/// One request in a connection of its own; HTTP/1.0, so that the answer ends where the connection does.
fn send(method: &str, path: &str, body: &[u8], attempted: &str) -> Result<Response, ResourceError> {
    let failed = || ResourceError::io(format!("{attempted}: ask Docker at {SOCKET}"));
    let mut stream = UnixStream::connect(SOCKET).map_err(failed())?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(failed())?;
    stream.set_write_timeout(Some(ANSWER_WITHIN)).map_err(failed())?;
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // An engine that refuses early closes its side; what it says is worth more than the broken pipe.
    let written = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed())?;
    match split(&answer) {
        Some(response) => Ok(response),
        None => {
            written.map_err(failed())?;
            Err(ResourceError::Other(format!("{attempted}: Docker closed the connection without an answer")))
        }
    }
}

fn split(answer: &[u8]) -> Option<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Response { status, body: answer[end + 4..].to_vec() })
}

/// Text as a part of a query.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_what_follows_the_head() {
        let answer =
            b"HTTP/1.0 404 Not Found\r\nContent-Type: application/json\r\n\r\n{\"message\":\"none\"}\n";
        let response = split(answer).unwrap();
        assert_eq!(response.status, 404);
        let error = response.expect_success("look").unwrap_err().to_string();
        assert_eq!(error, "look: Docker answered 404: none");
        assert_eq!(split(b""), None);
    }

    #[test]
    fn a_query_cannot_be_broken_out_of() {
        assert_eq!(encoded("a/b&c=\"ü\""), "a%2Fb%26c%3D%22%C3%BC%22");
    }
}
