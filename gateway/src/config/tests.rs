use super::*;

fn layers(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Layers {
    let mut layers = Layers::default();
    if !file.is_empty() {
        let mut toml = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut toml, file.as_bytes()).unwrap();
        layers.add_file(toml.path());
    }
    let environment = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    layers.add_environment(&environment);
    for (key, value) in flags {
        layers.add_flag(key, "--flag", Some((*value).to_owned()));
    }
    layers
}

fn faults(file: &str, environment: &[(&str, &str)], purpose: Purpose) -> Vec<String> {
    match Config::read(layers(file, environment, &[]), purpose) {
        Ok(_) => Vec::new(),
        Err(Faults(faults)) => faults
            .iter()
            .map(|f| format!("{}: {}", f.key, f.problem))
            .collect(),
    }
}

#[test]
fn flags_beat_the_environment_beats_the_file_beats_defaults() {
    let file = "[proxy]\nthreads = 3\nmax_connections = 7\n[upstream]\nidle_timeout = \"90s\"";
    let environment = [
        ("MINDWEAVE_PROXY_THREADS", "4"),
        ("MINDWEAVE_METRICS_LISTEN", "127.0.0.1:1"),
    ];
    let config = Config::read(
        layers(file, &environment, &[("metrics.listen", "127.0.0.1:2")]),
        Purpose::Other,
    );
    let config = config.unwrap();
    assert_eq!(config.proxy.threads, 4);
    assert_eq!(config.ingest.lanes, 4);
    assert_eq!(config.proxy.max_connections, 7);
    assert_eq!(config.metrics_listen.port(), 2);
    assert_eq!(config.upstream.idle_timeout, Duration::from_secs(90));
    assert_eq!(config.proxy.listen, loopback(8080));
}

#[test]
fn every_fault_is_reported_with_its_key() {
    let file = "[proxy]\nthreads = 0\nlisten = \"nowhere\"\nthread = 1\n[upstream]\nurl = \"ftp://x\"\nidle_timeout = \"soon\"\n[log]\nformat = \"xml\"";
    let found = faults(
        file,
        &[
            ("MINDWEAVE_PROXY_TRUSTED_PROXIES", "10.0.0.0/8, me"),
            ("MINDWEAVE_ADMIN_TRUSTED_PROXIES", "10.0.0.0/33"),
        ],
        Purpose::Serve,
    );
    let keys: Vec<&str> = found
        .iter()
        .map(|fault| fault.split(':').next().unwrap())
        .collect();
    let expected = [
        "admin.trusted_proxies",
        "database.url",
        "log.format",
        "proxy.listen",
        "proxy.thread",
        "proxy.threads",
        "proxy.trusted_proxies",
        "upstream.idle_timeout",
        "upstream.url",
    ];
    assert_eq!(keys, expected, "{found:#?}");
}

#[test]
fn serve_needs_a_database_and_an_upstream_key() {
    let keys: Vec<String> = faults("", &[], Purpose::Serve);
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(faults("", &[], Purpose::Other).is_empty());
    let given = [
        ("DATABASE_URL", "postgres://x"),
        ("ANTHROPIC_API_KEY", "sk-ant-x"),
    ];
    assert!(faults("", &given, Purpose::Serve).is_empty());
}

#[test]
fn the_gateways_own_variable_beats_the_shared_name() {
    let environment = [
        ("DATABASE_URL", "postgres://shared"),
        ("MINDWEAVE_DATABASE_URL", "postgres://own"),
    ];
    let config = Config::read(layers("", &environment, &[]), Purpose::Other).unwrap();
    assert_eq!(
        config.database_url,
        Some(Secret("postgres://own".to_owned()))
    );
}

#[test]
fn a_secret_may_come_in_a_file_and_is_never_shown() {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut secret, b"sk-ant-api03-topsecret\n").unwrap();
    let path = secret.path().to_str().unwrap();
    let config = Config::read(
        layers("", &[("ANTHROPIC_API_KEY_FILE", path)], &[]),
        Purpose::Other,
    )
    .unwrap();
    assert!(config.upstream.is_live);
    assert!(!format!("{config:?}").contains("topsecret"));
}

#[test]
fn a_key_for_second_factors_is_long_or_refused_unseen() {
    let read = |key: &str| {
        let layers = layers("", &[("MINDWEAVE_ADMIN_MFA_KEY", key)], &[]);
        Config::read(layers, Purpose::Other)
    };
    assert!(read("").unwrap().mfa_key.is_none());
    assert!(read(&"k".repeat(32)).unwrap().mfa_key.is_some());
    let faults = read("too-short-a-key").unwrap_err().to_string();
    assert!(
        faults.contains("must have at least 32 characters"),
        "{faults}"
    );
    assert!(!faults.contains("too-short-a-key"));
}

#[test]
fn organizations_may_have_upstream_keys_of_their_own() {
    let config = Config::read(
        layers("[upstream.keys]\nacme = \"sk-ant-acme\"", &[], &[]),
        Purpose::Other,
    )
    .unwrap();
    assert!(config.upstream.by_org.contains_key("acme"));
}

#[test]
fn an_unknown_variable_is_mentioned_not_refused() {
    let layers = layers("", &[("MINDWEAVE_API_KEY", "x")], &[]);
    assert_eq!(layers.warnings.len(), 1);
    assert!(Config::read(layers, Purpose::Other).is_ok());
}

#[test]
fn scans_reach_what_is_allowed_and_secrets_of_organizations_are_no_settings() {
    let environment = [("MINDWEAVE_SECRET_ACME__TOKEN", "x")];
    let file = "[mcp]\nallowed_networks = [\"10.0.0.0/8\", \"::1\"]\nsecrets_dir = \"/\"";
    let layers = layers(file, &environment, &[]);
    assert_eq!(layers.warnings, Vec::<String>::new());
    let config = Config::read(layers, Purpose::Other).unwrap();
    assert_eq!(config.mcp.allowed_networks.len(), 2);
    assert_eq!(config.mcp.secrets_dir.as_deref(), Some(Path::new("/")));
    let wrong = "[mcp]\nallowed_networks = [\"all\"]\nsecrets_dir = \"/nowhere\"\nnothing = 1";
    let found = faults(wrong, &[], Purpose::Other);
    for key in [
        "mcp.allowed_networks: `all`",
        "mcp.nothing: there is no",
        "mcp.secrets_dir: `/nowhere`",
    ] {
        assert!(
            found.iter().any(|fault| fault.starts_with(key)),
            "{found:?}"
        );
    }
}
