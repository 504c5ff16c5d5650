use super::*;

fn file(directory: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_whole_file_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let secret = file(&directory, "secret", &format!("{}\n", "s".repeat(32)));
    let key = file(&directory, "key", "-----BEGIN PRIVATE KEY-----\n");
    let settings = Settings::parse(&format!(
        r#"
        linking = "ask"
        [[client]]
        id = "app"
        secret_file = "{secret}"
        redirect_uris = ["https://www.example.com/sign-in/callback"]
        back_channel_logout_uri = "https://www.example.com/sign-in/back-channel-logout"
        [[provider]]
        kind = "google"
        client_id = "g"
        secret_file = "{secret}"
        hosted_domain = "example.com"
        [[provider]]
        kind = "microsoft"
        client_id = "m"
        certificate_file = "{key}"
        key_file = "{key}"
        expires = 2027-06-30
        [[provider]]
        kind = "apple"
        client_id = "a"
        key_file = "{key}"
        key_id = "K"
        team_id = "T"
        "#
    ))
    .unwrap();
    assert_eq!(settings.linking, Linking::Ask);
    let client = settings.client("app").unwrap();
    assert!(client.requires_pkce && client.algorithm == Algorithm::ES256 && !client.may_exchange);
    let names: Vec<_> = settings.providers.iter().map(|provider| provider.label.as_str()).collect();
    assert_eq!(names, ["Google", "Microsoft", "Apple"]);
    assert_eq!(settings.providers[1].kind, Kind::Microsoft { tenant: "common".to_owned() });
    assert_eq!(settings.providers[1].expires.unwrap().to_string(), "2027-06-30");
    assert!(!format!("{settings:?}").contains("ssss"));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let problems = Settings::parse(
        r#"
        [[client]]
        id = "a b"
        redirect_uris = ["http://example.com/", "https://example.com/*", "https://example.com/#a"]
        scopes = ["openid", "admin"]
        [[provider]]
        kind = "apple"
        client_id = "a"
        secret_file = "/nowhere"
        [[provider]]
        kind = "oidc"
        name = "Other"
        client_id = "a"
        secret_file = "/nowhere"
        "#,
    )
    .unwrap_err();
    for part in
        ["its id", "http://example.com/", "*", "#a", "admin", "secret_file", "key_file", "its name", "`at`"]
    {
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:#?}");
    }
    assert!(Settings::parse("").unwrap_err()[0].contains("[[provider]]"));
    assert!(Settings::parse("surprise = 1").is_err());
}
