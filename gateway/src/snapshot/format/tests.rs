use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::{
    ApiKeyId, KeyHash, KeyKind, McpServerId, OrgId, PolicyId, ProjectId, Timestamp, UserId,
};
use policy_engine::{
    OrgSource, PolicySource, PolicyStatus, ProjectSource, ServerSource, SubscriptionSource,
    ToolSource,
};
use proptest::prelude::*;
use proxy::{
    AllowedIps, KeyRecord, KeyStatus, McpServers, OnClientDisconnect, Scopes, Target, Tenant,
    TenantState, UpstreamObjects,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::snapshot::load::{KeyRow, Targets};
use crate::snapshot::memory::Contents;
use crate::snapshot::saved::{SavedKey, SavedOrganization, Sharing};

const DATABASE: &str = "db.internal:5432/mindweave";
const VERIFIED_AT: Timestamp = Timestamp {
    unix_micros: 1_795_000_000_000_001,
};

fn target(url: &str) -> Arc<Target> {
    Arc::new(Target::new(url, Some("sk-ant-api03-upstream-secret")).unwrap())
}

/// The organization `acme` has an upstream key of its own.
fn targets() -> Targets {
    Targets {
        live: target("https://api.example"),
        by_org: BTreeMap::from([("acme".to_owned(), target("https://acme.example"))]),
        test: target("http://127.0.0.1:1"),
    }
}

/// A live key of no particular properties.
fn key(number: u128, org_slug: &str) -> Arc<KeyRecord> {
    let (target, own_upstream_key) = targets().of(KeyKind::Live, org_slug);
    let tenant = Tenant {
        project_id: ProjectId(Uuid::from_u128(number + 1)),
        org_id: OrgId(Uuid::from_u128(number + 2)),
        org_slug: org_slug.into(),
        state: TenantState::Active,
        target,
        own_upstream_key,
        on_client_disconnect: None,
    };
    Arc::new(KeyRecord {
        hash: KeyHash::of(&number.to_be_bytes()),
        id: ApiKeyId(Uuid::from_u128(number)),
        user_id: Some(UserId(Uuid::from_u128(number + 3))),
        kind: KeyKind::Live,
        status: KeyStatus::Active,
        expires_at: None,
        allowed_ips: AllowedIps::Any,
        scopes: Scopes {
            read: true,
            write: true,
        },
        tenant: Arc::new(tenant),
    })
}

fn changed(mut key: Arc<KeyRecord>, change: impl FnOnce(&mut KeyRecord)) -> Arc<KeyRecord> {
    change(Arc::make_mut(&mut key));
    key
}

fn tenant(key: &mut KeyRecord) -> &mut Tenant {
    Arc::make_mut(&mut key.tenant)
}

/// What a key becomes that is read.
fn restored(key: SavedKey, targets: &Targets) -> Arc<KeyRecord> {
    match key.into_loaded(&mut Sharing::new(targets)).row {
        KeyRow::Key(record) => record,
        KeyRow::Senseless { .. } => panic!("a key that was written makes sense"),
    }
}

/// Each value that a field can have, and texts that nobody would choose.
fn odd_keys() -> Vec<Arc<KeyRecord>> {
    let changes: [fn(&mut KeyRecord); 13] = [
        |key| key.user_id = None,
        |key| key.status = KeyStatus::Revoked,
        |key| key.status = KeyStatus::Expired,
        |key| key.expires_at = Some(Timestamp { unix_micros: 0 }),
        |key| {
            key.expires_at = Some(Timestamp {
                unix_micros: i64::MAX,
            });
        },
        |key| {
            key.expires_at = Some(Timestamp {
                unix_micros: i64::MIN,
            });
        },
        |key| key.allowed_ips = AllowedIps::Only([].into()),
        |key| {
            let networks = ["0.0.0.0/0", "10.1.2.3/8", "::/0", "2001:db8::1/128"];
            key.allowed_ips = AllowedIps::Only(networks.map(|text| text.parse().unwrap()).into());
        },
        |key| key.scopes.read = false,
        |key| key.scopes.write = false,
        |key| tenant(key).state = TenantState::ProjectInactive,
        |key| tenant(key).state = TenantState::OrganizationInactive,
        |key| tenant(key).on_client_disconnect = Some(OnClientDisconnect::Drain),
    ];
    let slugs = ["acme", "", "a\"b\\c\n\0", "größe-😀", "ACME", " acme "];
    let test_key = changed(key(9_000, "acme"), |key| {
        key.kind = KeyKind::Test;
        let tenant = tenant(key);
        tenant.on_client_disconnect = Some(OnClientDisconnect::Cancel);
        (tenant.target, tenant.own_upstream_key) = targets().of(KeyKind::Test, "acme");
    });
    let changes = changes.into_iter().enumerate();
    let changed = changes.map(|(n, change)| changed(key(1_000 + 10 * n as u128, "other"), change));
    let slugs = slugs.into_iter().enumerate();
    let named = slugs.map(|(n, slug)| key(5_000 + 10 * n as u128, slug));
    changed.chain(named).chain([test_key]).collect()
}

fn contents(keys: Vec<Arc<KeyRecord>>) -> Contents {
    let mut mcp_servers = McpServers::default();
    for (number, name) in [(1, "github"), (1, "files.of us"), (2, "\"\\\u{7f}ö")] {
        let id = McpServerId(Uuid::from_u128(100 + number));
        mcp_servers.add(ProjectId(Uuid::from_u128(number)), id, name);
    }
    let objects = UpstreamObjects::default();
    for (id, project) in [("msgbatch_1", 1), ("file_2", 2), ("", 3), ("\"\n\0😀", 4)] {
        objects.insert(id.to_owned(), ProjectId(Uuid::from_u128(project)));
    }
    Contents {
        keys,
        organizations: organizations(),
        mcp_servers: Arc::new(mcp_servers),
        objects: Arc::new(objects),
    }
}

/// Everything that an organization's rules can hold.
fn organizations() -> Vec<SavedOrganization> {
    let [id, project, policy, server, user] = [201, 202, 203, 204, 205].map(Uuid::from_u128);
    let policy = PolicySource {
        id: PolicyId(policy),
        name: "a \"policy\"\n\u{1}".to_owned(),
        kind: "usage".to_owned(),
        rules: json!({"max_cost_per_day_usd": 0.1, "deep": [[[{"a": null}]]]}),
        applies_to: json!({"users": ["all"]}),
        priority: i32::MIN,
        status: PolicyStatus::Draft,
        created_unix_micros: i64::MIN,
    };
    let server = ServerSource {
        id: McpServerId(server),
        name: "github".to_owned(),
        status: "pending".to_owned(),
        url: Some("https://mcp.example/".to_owned()),
        policy: json!("it can't be read"),
        tools: vec![ToolSource {
            name: "search".to_owned(),
            enabled: false,
        }],
    };
    let org = OrgSource {
        id: OrgId(id),
        slug: "größe-😀".to_owned(),
        settings: json!({"require_mcp_approval": true}),
        subscription: Some(SubscriptionSource {
            status: "trialing".to_owned(),
            limits: Value::Null,
        }),
        roles: BTreeMap::from([(UserId(user), "owner".to_owned())]),
        policies: vec![policy.clone()],
    };
    let bare = OrgSource {
        id: OrgId(Uuid::from_u128(200)),
        subscription: None,
        roles: BTreeMap::new(),
        policies: Vec::new(),
        ..org.clone()
    };
    let project = ProjectSource {
        id: ProjectId(project),
        slug: "website".to_owned(),
        settings: json!({}),
        quotas: json!({"max_tokens_per_day": 18_446_744_073_709_551_615_u64}),
        policies: vec![policy],
        mcp_servers: vec![server],
    };
    vec![
        SavedOrganization {
            org: Arc::new(bare),
            projects: Vec::new(),
        },
        SavedOrganization {
            org: Arc::new(org),
            projects: vec![Arc::new(project)],
        },
    ]
}

fn encoded(contents: Contents) -> Vec<u8> {
    let mut bytes = Vec::new();
    let saved = Saved::new(DATABASE.to_owned(), VERIFIED_AT, contents);
    write(&saved, &mut bytes).unwrap();
    bytes
}

fn small() -> Vec<u8> {
    encoded(contents(vec![key(1, "acme")]))
}

fn sorted<T: Ord>(values: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    values.into_iter().collect()
}

/// Why bytes are not read.
fn refused(bytes: &[u8]) -> FormatError {
    decode(bytes).expect_err("these are not the bytes that were written")
}

#[test]
fn all_that_the_data_plane_needs_comes_back() {
    let keys = odd_keys();
    let kept = contents(keys.clone());
    let read = decode(&encoded(contents(keys.clone()))).unwrap();
    assert_eq!(read.database, DATABASE);
    assert_eq!(read.verified_at(), VERIFIED_AT);
    assert_eq!(read.organizations, kept.organizations);
    let servers = read.mcp_servers();
    assert_eq!(sorted(servers.iter()), sorted(kept.mcp_servers.iter()));
    assert_eq!(sorted(read.objects.iter()), sorted(kept.objects.iter()));
    let targets = targets();
    let read = read.keys.into_iter().map(|key| restored(key, &targets));
    assert_eq!(read.collect::<Vec<_>>(), keys);
}

#[test]
fn keys_of_a_project_share_what_they_have_in_common() {
    let one = key(1, "acme");
    let same = changed(Arc::clone(&one), |key| key.status = KeyStatus::Revoked);
    let other = changed(Arc::clone(&one), |key| {
        tenant(key).state = TenantState::ProjectInactive;
    });
    let targets = targets();
    let mut sharing = Sharing::new(&targets);
    let keys = vec![one, same, other];
    let read = decode(&encoded(contents(keys))).unwrap().keys.into_iter();
    let read = read.map(|key| match key.into_loaded(&mut sharing).row {
        KeyRow::Key(record) => record,
        KeyRow::Senseless { .. } => panic!("a key that was written makes sense"),
    });
    let keys: Vec<_> = read.collect();
    assert!(Arc::ptr_eq(&keys[0].tenant, &keys[1].tenant));
    assert_ne!(keys[0].tenant, keys[2].tenant);
}

#[test]
fn who_answers_a_key_is_for_the_present_configuration_to_say() {
    let read = decode(&small()).unwrap();
    let targets = Targets {
        by_org: BTreeMap::new(),
        ..targets()
    };
    let key = read.keys.into_iter().next().unwrap();
    let record = restored(key, &targets);
    assert_eq!(record.target, targets.live);
    assert!(!record.own_upstream_key);
}

#[test]
fn neither_keys_nor_secrets_are_in_it() {
    let text = String::from_utf8(encoded(contents(odd_keys()))).unwrap();
    assert!(!text.contains("upstream-secret"), "{text}");
    assert!(!text.contains("mw_sk_"), "{text}");
}

#[test]
fn nothing_is_a_state_too() {
    let nothing = Contents {
        keys: Vec::new(),
        organizations: Vec::new(),
        mcp_servers: Arc::default(),
        objects: Arc::default(),
    };
    let read = decode(&encoded(nothing)).unwrap();
    assert!(read.keys.is_empty() && read.objects.is_empty());
}

#[test]
fn a_file_that_was_cut_anywhere_is_not_read() {
    let bytes = small();
    for length in 0..bytes.len() {
        let error = refused(&bytes[..length]);
        let in_title = length <= TITLE.len() + 1;
        match error {
            FormatError::Foreign => assert!(in_title, "cut at {length}"),
            FormatError::Damaged => assert!(!in_title, "cut at {length}"),
            error @ (FormatError::Version { .. } | FormatError::Content(_)) => {
                panic!("cut at {length}: {error}")
            }
        }
    }
}

#[test]
fn a_file_with_any_bit_flipped_is_not_read() {
    let bytes = small();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            refused(&flipped);
        }
    }
}

#[test]
fn a_file_with_something_behind_it_or_twice_over_is_not_read() {
    let bytes = small();
    for behind in [&b"\n"[..], b" ", &bytes] {
        let error = refused(&[&bytes, behind].concat());
        assert!(matches!(error, FormatError::Damaged), "{error}");
    }
}

#[test]
fn another_version_is_told_whatever_the_rest_is() {
    for (title, expected) in [
        ("mindweave-snapshot 1\n", "version 1,"),
        ("mindweave-snapshot 3\n", "version 3,"),
        ("mindweave-snapshot 0\n{}", "version 0,"),
        ("mindweave-snapshot 4294967295\n", "version 4294967295,"),
        ("mindweave-snapshot 4294967296\n", "not a snapshot"),
        ("mindweave-snapshot \n", "not a snapshot"),
        ("mindweave-snapshot -1\n", "not a snapshot"),
        ("mindweave-snapshot one\n", "not a snapshot"),
        ("{\"keys\":[]}\n", "not a snapshot"),
        ("\u{0}\n", "not a snapshot"),
        ("", "not a snapshot"),
    ] {
        let error = refused(title.as_bytes()).to_string();
        assert!(error.contains(expected), "{title:?}: {error}");
    }
}

#[test]
fn a_field_that_this_version_does_not_know_is_not_passed_over() {
    let bytes = small();
    let text = String::from_utf8(bytes).unwrap();
    let (title, rest) = text.split_once('\n').unwrap();
    let content = rest.split_once('\n').unwrap().0;
    let more = content.replacen("\"org_slug\"", "\"forbidden\":true,\"org_slug\"", 1);
    assert_ne!(more, content);
    let signed = format!("{title}\n{more}\n");
    let sum = sum_line(Sha256::new_with_prefix(&signed));
    let error = refused(format!("{signed}{sum}").as_bytes());
    assert!(matches!(error, FormatError::Content(_)), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange_to_be_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        titled in any::<bool>(),
    ) {
        let title = if titled { "mindweave-snapshot 2\n" } else { "" };
        refused(&[title.as_bytes(), &bytes].concat());
    }

    #[test]
    fn any_slug_comes_back(slug in any::<String>()) {
        let read = decode(&encoded(contents(vec![key(1, &slug)]))).unwrap();
        let key = read.keys.into_iter().next().unwrap();
        prop_assert_eq!(&*restored(key, &targets()).org_slug, slug.as_str());
    }
}
