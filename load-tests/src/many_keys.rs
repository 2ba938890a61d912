//! Keys by the thousand, made where they are stored, whose texts follow from their numbers.

use std::ops::Range;

use domain::KeyKind;
use testkit::Scene;

/// A key's text.
pub(crate) fn text(number: u32) -> String {
    format!("{}{number:0DIGITS$}", KeyKind::Live.prefix())
}

const DIGITS: usize = 43;

/// Makes them: live ones of the scene's project and user.
pub(crate) async fn insert(scene: &Scene, numbers: Range<u32>) {
    // Nobody follows these tables yet, so nobody needs to be told of each row.
    let sql = format!(
        "BEGIN;
        SET LOCAL session_replication_role = replica;
        INSERT INTO api_keys (project_id, created_by, key_prefix, key_hash, name)
        SELECT '{project}', '{user}', '{prefix}',
            encode(sha256(convert_to('{prefix}' || lpad(number::TEXT, {DIGITS}, '0'), 'UTF8')), 'hex'),
            'key ' || number
        FROM generate_series({first}, {last}) AS number;
        COMMIT;
        ANALYZE api_keys;",
        project = scene.tenant.project_id,
        user = scene.tenant.user_id,
        prefix = KeyKind::Live.prefix(),
        first = numbers.start,
        last = i64::from(numbers.end) - 1,
    );
    scene.sql.batch_execute(&sql).await.unwrap();
}
