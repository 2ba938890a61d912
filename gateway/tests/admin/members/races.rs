//! Several at once.

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

use super::{accept, count, invite, joined, members};
use crate::login::PASSWORD;
use crate::stage::{Stage, at, post};

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_is_accepted_by_many_at_once_is_accepted_once() {
    let stage = Stage::new().await;
    for round in 0..5 {
        let email = format!("a{round}@new.example");
        let invited = invite(&stage, &stage.installation, &email, "viewer").await;
        let answers = join_all((0..8).map(|_| accept(&stage, &invited))).await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses[0], StatusCode::OK, "{answers:?}");
        assert_eq!(statuses[1..], [StatusCode::UNAUTHORIZED; 7]);
    }
    let accepted = "SELECT count(*) FROM audit_logs WHERE action = 'org_members.accept'";
    assert_eq!(count(&stage, accepted).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_of_the_same_address_at_once_are_one_membership_and_one_token() {
    let stage = Stage::new().await;
    // Whose user is made first would let one of them come before the others.
    let user = json!({"email": "a@new.example", "name": "n", "password": PASSWORD});
    post(&stage.installation, "users", user).await;
    let body = json!({"email": "a@new.example", "role": "viewer"});
    let path = at(&members(&stage));
    let answers = join_all((0..6).map(|_| stage.installation.post(&path, &body))).await;
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    }
    let accepted = join_all(
        answers
            .iter()
            .map(async |it| accept(&stage, &it.json()).await.status),
    );
    let accepted = accepted.await;
    let ok = accepted.iter().filter(|status| status.is_success());
    assert_eq!(ok.count(), 1, "{accepted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_owners_who_demote_each_other_leave_one() {
    let stage = Stage::new().await;
    for round in 0..8 {
        let (first_path, first) = joined(&stage, &format!("a{round}@x.example"), "owner").await;
        let (second_path, second) = joined(&stage, &format!("b{round}@x.example"), "owner").await;
        let (first_path, second_path) = (at(&first_path), at(&second_path));
        // Alone with each other; whoever comes too late is no owner any more, or the last.
        let demoted = json!({"role": "viewer"});
        let suspended = json!({"status": "suspended"});
        let (one, other) = tokio::join!(
            first.post(&second_path, &demoted),
            second.post(
                &first_path,
                if round % 2 == 0 { &demoted } else { &suspended }
            ),
        );
        let statuses = [one.status, other.status];
        let done = statuses.iter().filter(|status| status.is_success()).count();
        assert_eq!(done, 1, "{one:?} {other:?}");
        let refused = if one.status.is_success() { other } else { one };
        assert!(
            matches!(refused.status, StatusCode::CONFLICT | StatusCode::FORBIDDEN),
            "{refused:?}"
        );
        let owners = "SELECT count(*) FROM org_members WHERE role = 'owner' AND status = 'active'";
        assert_eq!(count(&stage, owners).await, 1);
        super::run(&stage, "DELETE FROM org_members").await;
    }
}

/// Neither is demoted by the other, so neither has lost the role: only the count stands between.
#[tokio::test(flavor = "multi_thread")]
async fn two_owners_who_leave_at_once_do_not_both_go() {
    let stage = Stage::new().await;
    for round in 0..8 {
        let (first_path, _) = joined(&stage, &format!("a{round}@x.example"), "owner").await;
        let (second_path, _) = joined(&stage, &format!("b{round}@x.example"), "owner").await;
        let api = &stage.installation;
        let (one, other) = tokio::join!(
            crate::stage::delete(api, &first_path),
            crate::stage::delete(api, &second_path),
        );
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(
            statuses,
            [StatusCode::OK, StatusCode::CONFLICT],
            "{one:?} {other:?}"
        );
        super::run(&stage, "DELETE FROM org_members").await;
    }
}
